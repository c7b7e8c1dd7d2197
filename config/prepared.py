"""Querysets that are composed and compiled once, and from then on only executed, with new values.

To compose and compile a query takes Django several times as long as the database takes to answer it. So the queries of
every request are kept as SQL. The queryset stays the only place where a rule is written: the SQL is made of it.

    def _by_key(key_hash, now):
        return Session.objects.filter(key_hash=key_hash, expire_date__gt=now)

    BY_KEY = Prepared(_by_key, key_hash=Session._meta.get_field("key_hash"), now=Session._meta.get_field("expire_date"))
    session = BY_KEY.first(key_hash=..., now=timezone.now())

The function gets a Slot for each name. It must use it as a value in filters or annotations only, and must not ask for
its value. Whatever else it reads, such as the clock or a setting, is read once for each connection of the process.
"""

from datetime import date, timedelta
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import Expression
from django.db.models.query import get_related_populators


class Slot(Expression):
    """The place of a value that each execution gives anew. `field` is the model field whose values it has."""

    def __init__(self, name, field):
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler, connection):
        return "%s", [self]


class Prepared:
    """A queryset with named slots: `build` makes it, `slots` are the model fields of its values by name."""

    def __init__(self, build, **slots):
        self._build, self._slots = build, slots
        self._alias = None

    def all(self, **values):
        """The rows as a list of model instances: those that `build` with these values would give.

        Raises ValidationError for a value that its field cannot have, as a filter would.
        """
        if self._alias is None:
            self._alias = self._queryset().db
        connection = connections[self._alias]
        # Connections belong to one thread each, and so does what is kept with them.
        kept = connection.__dict__.setdefault("prepared_statements", {})
        if self not in kept:
            kept[self] = _Statement(self._queryset(), connection)
        return kept[self].rows(connection, values)

    def first(self, **values):
        """The first row, or None."""
        return next(iter(self.all(**values)), None)

    def _queryset(self):
        return self._build(**{name: Slot(name, field) for name, field in self._slots.items()})


class _Statement:
    """The SQL of a queryset, and how to make instances of its rows."""

    def __init__(self, queryset, connection):
        if queryset._prefetch_related_lookups:
            raise ImproperlyConfigured("A prepared queryset cannot prefetch.")
        compiler = queryset.query.get_compiler(connection=connection)
        self._sql, self._parameters = compiler.as_sql()
        for value in self._parameters:
            if isinstance(value, date | timedelta | UUID):
                raise ImproperlyConfigured(f"A value that ages is part of a prepared query: {value!r}.")
        self._compiler = compiler
        self._converters = compiler.get_converters([column for column, *_ in compiler.select[: compiler.col_count]])
        facts = compiler.klass_info
        self._model, columns = facts["model"], facts["select_fields"]
        self._columns = slice(columns[0], columns[-1] + 1)
        self._names = [column.target.attname for column, *_ in compiler.select[self._columns]]
        self._related = get_related_populators(facts, compiler.select, connection.alias)
        self._annotations = list((compiler.annotation_col_map or {}).items())

    def rows(self, connection, values):
        """Instances, made as django.db.models.query.ModelIterable makes them."""
        parameters = [
            each.output_field.get_db_prep_value(values[each.name], connection) if isinstance(each, Slot) else each
            for each in self._parameters
        ]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            found = cursor.fetchall()
        if self._converters:
            found = map(tuple, self._compiler.apply_converters(found, self._converters))
        return [self._instance(row, connection.alias) for row in found]

    def _instance(self, row, alias):
        instance = self._model.from_db(alias, self._names, row[self._columns])
        for populator in self._related:
            populator.populate(row, instance)
        for name, position in self._annotations:
            setattr(instance, name, row[position])
        return instance
