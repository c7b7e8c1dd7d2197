"""Count rows up to a limit, so that a count of very many rows stays cheap."""

# ruff: noqa: S608 (the SQL is built from the queries of querysets; what users write is passed as parameters)

from django.db import connection


def count(queries, most):
    """The number of rows of each query, a list. `queries` are (SQL, parameters). Counting stops at `most` + 1."""
    columns = [
        f"(SELECT COUNT(*) FROM (SELECT 1 FROM ({sql}) AS found LIMIT {most + 1}) AS counted)"
        for sql, _params in queries
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", [value for _sql, params in queries for value in params])
        return list(cursor.fetchone())


def are_few(querysets, most):
    """True when these together have no more than `most` rows."""
    queries = [queryset.order_by().values("pk").query.sql_with_params() for queryset in querysets]
    return sum(count(queries, most)) <= most
