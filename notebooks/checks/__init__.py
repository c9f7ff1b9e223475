"""The checks of the exercises, one module a lesson.

A check cell has two lines: ``from checks import lesson_1 as check`` and ``check.additive(additive)``. A check calls the
learner's function on random inputs, other ones of other sizes each time, and compares what comes back with what must
hold for it. It prints ``Exercise 1: right``, or ``Exercise 1: not yet - `` and the first mistake that it finds. All
inputs are CPU tensors, on a machine with a GPU as well. An error in the learner's function is not caught.

A printed verdict stops nothing: whoever runs the whole lesson gets to its end. Only nbgrader, which marks handed-in
lessons, needs an error to give no points. It gets one that says the same.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ROUNDS = 3  # so that no wrong answer passes by chance


class WrongAnswerError(AssertionError):
    """The verdict on a wrong answer, for nbgrader."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of this error: the verdict, and not the insides of a check."""
        return [str(self)]


def exercise(number: int) -> Callable[[Callable[..., str | None]], Callable[..., None]]:
    """Turn a function that returns a hint, or None where it finds no mistake, into one that prints the verdict."""

    def decorate(check: Callable[..., str | None]) -> Callable[..., None]:
        @functools.wraps(check)
        def verdict(*answers: Callable) -> None:
            marking = "NBGRADER_EXECUTION" in os.environ
            # Whatever an answer draws, the lesson's random numbers stay. To nbgrader a warning on stderr is a failure.
            stderr = contextlib.redirect_stderr(sys.stdout) if marking else contextlib.nullcontext()
            with torch.random.fork_rng(devices=[]), stderr:
                hints = (check(*answers) for _ in range(ROUNDS))
                hint = next((hint for hint in hints if hint), None)
            said = f"Exercise {number}: " + (f"not yet - {hint}" if hint else "right")
            if hint and marking:
                raise WrongAnswerError(said)
            print(said)

        return verdict

    return decorate


# ------------------------------------------------------------------------------------------------------ random inputs


def new_generator() -> torch.Generator:
    """A generator of its own for each check, seeded by the system."""
    generator = torch.Generator()
    generator.seed()
    return generator


def sizes(count: int, generator: torch.Generator, low: int = 3, high: int = 9) -> list[int]:
    """Different sizes, so that no two axes can be mistaken for each other."""
    return (low + torch.randperm(high - low + 1, generator=generator)[:count]).tolist()


def whole_number(generator: torch.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (1,), generator=generator))


def numbers(generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers between -1 and 1: so small that no softmax puts all its weight on one place."""
    return 2 * torch.rand(*shape, generator=generator) - 1


def lengths_of_texts(generator: torch.Generator, batch: int, longest: int) -> Tensor:
    """Lengths (B,) from 2 on, of which the first is the longest and the second is not."""
    lengths = torch.randint(2, longest + 1, (batch,), generator=generator)
    lengths[0] = longest
    lengths[1] = torch.randint(2, longest, (1,), generator=generator)
    return lengths


# -------------------------------------------------------------------------------------------------------------- hints


def call(function: Callable, **inputs: Any) -> tuple[Any, str | None]:
    """Call a function; return its answer, and a hint if it changed one of its inputs."""
    before = {name: value.detach().clone() for name, value in inputs.items() if isinstance(value, Tensor)}
    answer = function(*inputs.values())
    for name, value in before.items():
        if not torch.equal(value, inputs[name]):
            return answer, f"you changed {name} itself: work on a copy"
    return answer, None


def kind(value: object) -> str:
    """What a value is, in a word."""
    return "None" if value is None else type(value).__name__


def pair_fault(name: str, answer: object, first: str, second: str) -> str | None:
    """The hint for a function that should return two tensors."""
    if isinstance(answer, tuple | list) and len(answer) == 2 and all(isinstance(part, Tensor) for part in answer):
        return None
    return f"{name} returned {kind(answer)}, not two tensors, {first} and {second}"


def tensor_fault(
    name: str, value: object, axes: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> str | None:
    """The hint for what should be a tensor of this shape and dtype; axes names the shape, as in ``"(B, T)"``."""
    if not isinstance(value, Tensor):
        return f"{name} is {kind(value)}, not a tensor"
    if value.shape != shape:
        return f"{name} has the shape {tuple(value.shape)}; {axes} is {shape} here"
    if value.dtype != dtype:
        return f"{name} has the dtype {value.dtype}, not {dtype}"
    return None


def close(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, up to rounding where they hold floats; nan equals nan."""
    one, other = one.detach().cpu(), other.detach().cpu()
    if one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)


def known_fault(answer: Tensor, faults: dict[str, Tensor]) -> str | None:
    """The hint of the first mistake that gives this answer. Ask only about an answer that is known to be wrong."""
    return next((hint for hint, wrong in faults.items() if close(answer, wrong)), None)
