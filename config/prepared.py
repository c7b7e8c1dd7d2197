"""Querysets that are composed and compiled once for each shape, and from then on only executed, with new values.

To compose and compile a query takes Django several times as long as the database takes to answer it. So the queries of
hot requests are kept as SQL. The queryset stays the only place where a rule is written: the SQL is made of it.

    def _by_key(key_hash):
        return Session.objects.filter(key_hash=key_hash, expire_date__gt=now())

    BY_KEY = Prepared(_by_key, key_hash=Session._meta.get_field("key_hash"))
    session = BY_KEY.first(key_hash=...)

Each name has a Kind, which says what `build` gets in place of the value. A model field is short for OneOf the values of
that field: `build` gets a Slot, and must use it as a value in filters or annotations only. None is a shape of its own:
then `build` gets None, as a comparison with NULL is other SQL.

The time is read with `now()`, which each execution gives anew. Whatever else `build` reads, such as a setting, is read
once for each process.
"""

import threading
from collections.abc import Callable
from copy import copy
from datetime import date, timedelta
from uuid import UUID

from django.core.exceptions import EmptyResultSet, ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import connections, router
from django.db.models import BooleanField, DateTimeField, Expression, Field, Func, TextField
from django.db.models.expressions import DatabaseDefault
from django.db.models.query import FlatValuesListIterable, ModelIterable, ValuesListIterable, get_related_populators
from django.db.models.sql import InsertQuery, UpdateQuery
from django.utils import timezone

MOST_SHAPES = 200
"""So many statements are kept of one Prepared. Beyond them it begins again."""
LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""A list is filled up to one of these lengths, so that few shapes are kept."""
_building = threading.local()
_prepared = []


def now():
    """The present time: a datetime; inside a queryset that is being prepared, the time of each execution.

    Add to it or take from it a timedelta only.
    """
    return Moment() if getattr(_building, "active", False) else timezone.now()


class Slot(Expression):
    """The place of a value that each execution gives anew. `field` is the model field whose values it has."""

    def __init__(self, name, field):
        super().__init__(output_field=field)
        self.name = name

    @property
    def key(self):
        """What tells its values from those of other slots."""
        return self.name, self.output_field

    def as_sql(self, compiler, connection):
        return "%s", [self]

    def bound(self, values, connection):
        """The parameter of an execution, from its values by name."""
        return self.output_field.get_db_prep_value(values[self.name], connection)


class Moment(Slot):
    """The time of an execution, moved by `offset`."""

    def __init__(self, offset=timedelta(0)):
        super().__init__("now", DateTimeField())
        self.offset = offset

    def __add__(self, offset):
        return Moment(self.offset + offset)

    def __sub__(self, offset):
        return Moment(self.offset - offset)

    @property
    def key(self):
        """What tells its values from those of other slots."""
        return "now", self.offset

    def bound(self, values, connection):
        """The parameter of an execution: one moment for all places."""
        return self.output_field.get_db_prep_value(values["now"] + self.offset, connection)


# --- What a name stands for -------------------------------------------------------------------------


class Kind:
    """What `build` gets in place of a value."""

    def shape(self, value):
        """What of the value changes the SQL; hashable."""
        raise NotImplementedError

    def stand_in(self, name, shape):
        """What `build` gets for the values of this shape."""
        raise NotImplementedError

    def values(self, name, value):
        """{name of a slot: the value} of the slots in the stand-in."""
        raise NotImplementedError


class OneOf(Kind):
    """A value of a model field, or None."""

    def __init__(self, field):
        self.field = field

    def shape(self, value):
        return value is None

    def stand_in(self, name, shape):
        return None if shape else Slot(name, self.field)

    def values(self, name, value):
        return {name: value}


class Fixed(Kind):
    """A value that stands in the SQL itself, such as a limit or a yes or no. Each value is a shape of its own."""

    def shape(self, value):
        return value

    def stand_in(self, name, shape):
        return shape

    def values(self, name, value):
        return {}


class Several(Kind):
    """A list of values of a model field, or None. `build` gets a list of Slots; see Among.

    The list is filled up with its last value, or with NULL when it `may_be_empty`: no row equals that.
    """

    def __init__(self, field, *, may_be_empty=False):
        self.field, self.may_be_empty = field, may_be_empty

    def shape(self, value):
        return None if value is None else length_for(len(value))

    def stand_in(self, name, shape):
        return None if shape is None else [Slot(f"{name}.{number}", self.field) for number in range(shape)]

    def values(self, name, value):
        if value is None:
            return {}
        filler = [None if self.may_be_empty else value[-1]]
        filled = [*value, *filler * (length_for(len(value)) - len(value))]
        return {f"{name}.{number}": each for number, each in enumerate(filled)}


def length_for(count):
    """The length to which a list of `count` values is filled up."""
    return next(length for length in LENGTHS if length >= count)


class Fragment(Kind):
    """A piece of SQL that other code made, (SQL, parameters), or None. `build` gets (SQL, Slots)."""

    def shape(self, value):
        return None if value is None else value[0]

    def stand_in(self, name, shape):
        return shape and (shape, [_Plain(f"{name}.{number}") for number in range(shape.count("%s"))])

    def values(self, name, value):
        return {} if value is None else {f"{name}.{number}": each for number, each in enumerate(value[1])}


class _Plain(Slot):
    """A value that is in the form of the database already."""

    def __init__(self, name):
        super().__init__(name, TextField())

    @property
    def key(self):
        return self.name

    def bound(self, values, connection):
        return values[self.name]


# --- Conditions -------------------------------------------------------------------------------------


class Among(Func):
    """A condition: the field `name` has one of the values of `slots`, which a Several gives."""

    output_field = BooleanField()

    def __init__(self, name, slots):
        super().__init__(name, *slots)

    def as_sql(self, compiler, connection):
        column, parameters = compiler.compile(self.source_expressions[0])
        places = [compiler.compile(slot) for slot in self.source_expressions[1:]]
        values = [value for _sql, given in places for value in given]
        return f"{column} IN ({', '.join(sql for sql, _given in places)})", [*parameters, *values]


class Like(Func):
    """A condition: the field `name` is LIKE `pattern`, a Slot with a pattern (see prep_for_like_query)."""

    output_field = BooleanField()

    def __init__(self, name, pattern):
        super().__init__(name, pattern)

    def as_sql(self, compiler, connection, escape=r" ESCAPE '\'"):
        """On every database but PostgreSQL."""
        (column, before), (pattern, after) = map(compiler.compile, self.source_expressions)
        return f"{column} LIKE {pattern}{escape}", [*before, *after]

    def as_postgresql(self, compiler, connection):
        """PostgreSQL escapes by a backslash anyway."""
        return self.as_sql(compiler, connection, escape="")


# --- The querysets ----------------------------------------------------------------------------------


class Prepared:
    """A queryset with named values: `build` makes it, `kinds` are the Kinds of its values by name.

    `rows` makes a list of what a queryset by values_list gives, a list of tuples; without it the tuples are the rows.
    `changes` gets the values as `build` does, and returns what `update` sets: {name of a field: value or expression}.
    """

    def __init__(self, build, *, rows: Callable | None = None, changes: Callable | None = None, **kinds):
        self._build, self._rows, self._changes = build, rows, changes
        self._kinds = {name: OneOf(kind) if isinstance(kind, Field) else kind for name, kind in kinds.items()}
        self._kept = {}
        _prepared.append(self)

    def all(self, **values):
        """The rows as a list: those that `build` with these values would give.

        Raises ValidationError for a value that its field cannot have, as a filter would.
        """
        statement, slots = self._bound(values)
        return statement.rows(slots)

    def first(self, **values):
        """The first row, or None."""
        return next(iter(self.all(**values)), None)

    def update(self, **values):
        """Set the `changes` in the rows. Returns how many rows there were."""
        statement, slots = self._bound(values)
        return statement.update(slots)

    def _bound(self, values):
        """(the statement of these values, {slot: value})."""
        shape = tuple([kind.shape(values[name]) for name, kind in self._kinds.items()])
        statement = self._kept.get(shape)
        if statement is None:
            statement = self._statement(shape)
        slots = {"now": timezone.now()}
        for name, kind in self._kinds.items():
            slots |= kind.values(name, values[name])
        return statement, slots

    def _statement(self, shape):
        # Two threads may compile the same statement at once; either one serves.
        stand_ins = {
            name: kind.stand_in(name, each) for (name, kind), each in zip(self._kinds.items(), shape, strict=True)
        }
        outer, _building.active = getattr(_building, "active", False), True
        try:
            queryset = self._build(**stand_ins)
            if self._changes is None:
                statement = _Select(queryset, self._rows)
            else:
                statement = _Update(queryset, self._changes(**stand_ins))
        finally:
            _building.active = outer
        if len(self._kept) >= MOST_SHAPES:
            self._kept.clear()
        self._kept[shape] = statement
        return statement

    def forget(self):
        """Compile anew at the next execution."""
        self._kept.clear()


class _Statement:
    """The SQL of a query, and the places of its values. Threads share it."""

    def __init__(self, query, alias):
        self._alias = alias
        self.compiler = query.get_compiler(connection=connections[alias])
        self._sql, self._distinct, self._parameters = None, {}, []
        try:
            self._sql, parameters = self.compiler.as_sql()
        except EmptyResultSet:
            return
        for value in parameters:
            if isinstance(value, date | timedelta | UUID):
                raise ImproperlyConfigured(f"A value that ages is part of a prepared query: {value!r}.")
            if isinstance(value, Slot):
                self._parameters.append((True, self._distinct.setdefault(value.key, value).key))
            else:
                self._parameters.append((False, value))

    def executed(self, cursor, values):
        """Execute it with these values of the slots."""
        connection = cursor.db
        bound = {key: slot.bound(values, connection) for key, slot in self._distinct.items()}
        cursor.execute(self._sql, [bound[each] if is_slot else each for is_slot, each in self._parameters])


class _Update(_Statement):
    def __init__(self, queryset, changes):
        query = queryset.query.chain(UpdateQuery)
        query.add_update_values(changes)
        # As QuerySet.update does: an order means nothing here, and PostgreSQL has none in an UPDATE.
        query.clear_ordering(force=True)
        super().__init__(query, queryset.db)

    def update(self, values):
        """How many rows it changed."""
        if self._sql is None:
            return 0
        with connections[self._alias].cursor() as cursor:
            self.executed(cursor, values)
            return cursor.rowcount


class _Select(_Statement):
    """Also knows how to make rows of what the database returns."""

    def __init__(self, queryset, rows):
        if queryset._prefetch_related_lookups:
            raise ImproperlyConfigured("A prepared queryset cannot prefetch.")
        super().__init__(queryset.query, queryset.db)
        if self._sql is None:
            return
        compiler = self.compiler
        self._converters = [
            (position, converters, expression)
            for position, (converters, expression) in compiler.get_converters(
                [column for column, *_ in compiler.select[: compiler.col_count]]
            ).items()
        ]
        if queryset._iterable_class in (ValuesListIterable, FlatValuesListIterable):
            self._made = _flat if queryset._iterable_class is FlatValuesListIterable else rows
        elif queryset._iterable_class is not ModelIterable:
            raise ImproperlyConfigured("A prepared queryset gives instances or a values_list.")
        else:
            facts = compiler.klass_info
            columns = facts["select_fields"]
            self._model, self._columns = facts["model"], slice(columns[0], columns[-1] + 1)
            self._names = [column.target.attname for column, *_ in compiler.select[self._columns]]
            self._related = get_related_populators(facts, compiler.select, self._alias)
            self._annotations = list((compiler.annotation_col_map or {}).items())
            self._made = self._instances

    def rows(self, values):
        """The rows for these values of the slots."""
        if self._sql is None:
            return []
        connection = connections[self._alias]
        with connection.cursor() as cursor:
            self.executed(cursor, values)
            found = cursor.fetchall()
        if self._converters:
            found = [self._converted(row, connection) for row in found]
        return self._made(found) if self._made else found

    def _converted(self, row, connection):
        row = list(row)
        for position, converters, expression in self._converters:
            value = row[position]
            for converter in converters:
                value = converter(value, expression, connection)
            row[position] = value
        return tuple(row)

    def _instances(self, found):
        """Instances, made as django.db.models.query.ModelIterable makes them."""
        made = []
        for row in found:
            instance = self._model.from_db(self._alias, self._names, row[self._columns])
            for populator in self._related:
                populator.populate(row, instance)
            for name, position in self._annotations:
                setattr(instance, name, row[position])
            made.append(instance)
        return made


def _flat(found):
    return [row[0] for row in found]


class PreparedInsert:
    """Inserts instances of a model whose keys are known; the columns `left_out` get the defaults of the database.

    The default of another column is a constant.
    """

    def __init__(self, model, *, left_out=()):
        self._model = model
        self._fields = [field for field in model._meta.concrete_fields if field.name not in left_out]
        self._kept = {}

    def insert(self, instances):
        """Insert a list of instances."""
        connection = connections[router.db_for_write(self._model)]
        for instance in instances:
            for field in self._fields:
                if isinstance(getattr(instance, field.attname), DatabaseDefault):
                    setattr(instance, field.attname, field.db_default)
        rows = [
            [field.get_db_prep_save(field.pre_save(instance, True), connection) for field in self._fields]
            for instance in instances
        ]
        sql = self._kept.get(connection.alias)
        if sql is None:
            query = InsertQuery(self._model)
            query.insert_values(self._fields, [copy(instances[0])])  # compiling gives it a time of its own
            ((sql, _parameters),) = query.get_compiler(connection=connection).as_sql()
            self._kept[connection.alias] = sql
        with connection.cursor() as cursor:
            cursor.executemany(sql, rows)
        for instance in instances:
            instance._state.adding, instance._state.db = False, connection.alias


def _forget_all(**_signal):
    for prepared in _prepared:
        prepared.forget()


# Only tests change settings while the process runs. A statement may have been made of the old ones.
setting_changed.connect(_forget_all)
