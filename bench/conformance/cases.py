"""Cases and groups: plain functions with a name, and what a server must have for them."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TypeVar

from bench.conformance.models import Kind
from bench.conformance.subject import Subject

T = TypeVar("T")
Check = Callable[[Subject], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    """One claim about a server; `section` names the part of the protocol that it is from.

    `check` raises ViolationError, SkippedError or whatever a client raises.
    """

    name: str
    group: str
    section: str
    check: Check


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that belong together; `model`, `extension` and `needs_grpc` are needed by each."""

    title: str
    section: str
    model: Kind | None = None
    extension: str | None = None
    needs_grpc: bool = False

    def case(self, name: str, *, section: str | None = None) -> Callable[[Check], Case]:
        """Make a case of a function."""

        def make(check: Check) -> Case:
            return self._made(name, check, section=section)

        return make

    def each(
        self, items: Iterable[T], *, name: Callable[[T], str], section: str | None = None
    ) -> Callable[[Callable[[Subject, T], Awaitable[None]]], tuple[Case, ...]]:
        """Make a case for each item of a function that takes it."""

        def make(check: Callable[[Subject, T], Awaitable[None]]) -> tuple[Case, ...]:
            return tuple(
                self._made(name(item), _given(check, item), section=section) for item in items
            )

        return make

    def _made(self, name: str, check: Check, *, section: str | None) -> Case:
        async def guarded(subject: Subject) -> None:
            if self.needs_grpc:
                subject.open_channel()
            if self.extension is not None:
                subject.require(self.extension)
            if self.model is not None:
                subject.model(self.model)
            await check(subject)

        return Case(name, self.title, section or self.section, guarded)


def _given(check: Callable[[Subject, T], Awaitable[None]], item: T) -> Check:
    async def given(subject: Subject) -> None:
        await check(subject, item)

    return given


def collect(modules: Iterable[ModuleType]) -> tuple[Case, ...]:
    """All cases of modules, in the order in which they are written."""
    found: list[Case] = []
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Case):
                found.append(value)
            elif isinstance(value, tuple):
                found += [each for each in value if isinstance(each, Case)]
    return tuple(found)
