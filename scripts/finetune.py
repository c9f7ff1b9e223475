"""Fine-tune BERT to sort news, as lesson 4 does, with any number of processes, GPUs and machines.

    python scripts/finetune.py OUTPUT                          # one process: a GPU where there is one, else the CPU
    python scripts/finetune.py OUTPUT --processes 2            # two processes on the CPU of this machine
    torchrun --nproc_per_node 8 scripts/finetune.py OUTPUT     # eight GPUs, one process each

The news is that of ``TORCHNLP_DATA``, the model that of ``TORCHNLP_MODEL``. OUTPUT is a new folder. In it arrive:

- ``checkpoint.safetensors``, while the training runs: all that is needed to go on after a kill, in one file that is
  replaced in one step;
- ``model/``, at the end: a folder for ``from_pretrained``, for ``transformers.pipeline("text-classification", ...)``,
  which then answers with the names of the classes, and for lesson 4 by ``TORCHNLP_MODEL=OUTPUT/model``;
- ``history.json``, at the end: loss and accuracy while training, accuracy on the test items, the settings.

Where ``TORCHNLP_MODEL`` is a model that was fine-tuned before, its body is trained on, with new outputs, and a printed
line says so; it must have been fine-tuned to the classes of the news.

The same OUTPUT and settings with ``--resume`` go on from the checkpoint; where there is none yet, they start.

An iteration takes ``batch size x processes x accumulation`` examples of like length, the same ones for every way to
write this product, and their mean gradient. So without dropout, what is learned does not depend on how the work is
dealt out, up to rounding.
"""
# ruff: noqa: E402 - the other imports come after a line that makes them faster

import gc

gc.disable()  # what imports make is no garbage, and to search it takes a fifth of their time

import argparse
import contextlib
import io
import itertools
import json
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType

if os.environ.get("TORCHNLP_DEVICE") == "cpu":  # else two processes ask for two GPUs where there is one, to no use
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, tqdm
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.multiprocessing import ProcessExitedException, start_processes
from torch.utils.data import DataLoader, Sampler
from transformers import AutoTokenizer, BertForSequenceClassification

if "LOCAL_RANK" in os.environ and torch.cuda.is_available():  # else every process takes memory of the first GPU
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())  # too many are refused below

import torchnlp

gc.freeze()  # nor is it searched later: that would write to memory which forked processes share
gc.enable()

RESULTS = ("checkpoint.safetensors", "model", "history.json")
# Settings that a checkpoint is tied to, with the number of processes, the number format, the form of attention, the
# model, the news and the names of its classes.
TIED = ("iterations", "batch_size", "accumulate", "lr", "dropout", "max_length", "seed", "recompute", "report_freq")


class RunError(ValueError):
    """A run that cannot start or go on as it was asked for. The message names the remedy."""


ERRORS = (RunError, torchnlp.DataError, torchnlp.ModelError)  # those that a learner can mend


# ---------------------------------------------------------------------------------------------------- dealing out work


class Shares(Sampler[list[int]]):
    """Each iteration's examples, cut into equal shares, of which this process takes its own: a ``batch_sampler``.

    An iteration's examples come from :class:`torchnlp.LengthGroupedBatches`, sorted by length. Dealt out in turn like
    cards, each share holds short and long ones alike, so that no process waits for another. A batch that is not full,
    the last of a pass, is left out: its examples come in the next pass, which is shuffled anew.

    Args:
        batches: gives the examples of one iteration; walked through again and again.
        shares: into how many shares an iteration is cut, processes times accumulation.
        mine: the numbers of this process's shares, in the order in which it takes them.
        start, stop: the first iteration, and the one before which it ends.

    Raises:
        RunError: an iteration cannot be cut into equal shares, or there are not enough examples to fill one.
    """

    def __init__(self, batches: torchnlp.LengthGroupedBatches, shares: int, mine: list[int], start: int, stop: int):
        if batches.batch_size % shares:
            raise RunError(f"{batches.batch_size} examples cannot be cut into {shares} equal shares")
        if len(batches.lengths) < batches.batch_size:
            raise RunError(
                f"{len(batches.lengths)} training items do not fill one iteration of {batches.batch_size}: "
                "choose a smaller --batch-size or --accumulate, or fewer processes"
            )
        self.batches, self.shares, self.mine, self.start, self.stop = batches, shares, mine, start, stop

    def __len__(self) -> int:
        return (self.stop - self.start) * len(self.mine)

    def __iter__(self) -> Iterator[list[int]]:
        iteration = 0
        while iteration < self.stop:
            for batch in self.batches:  # a new pass, with a new order
                if len(batch) < self.batches.batch_size:
                    continue
                if self.start <= iteration < self.stop:
                    yield from (batch[share :: self.shares] for share in self.mine)
                iteration += 1


# --------------------------------------------------------------------------------------------------------- checkpoints


@dataclass
class Progress:
    """How far a training has come, what it has reported, and what this process adds to the next report."""

    iteration: int
    history: dict[str, list[float]]
    sums: torch.Tensor  # (3,): loss, right answers and examples since the last report

    @classmethod
    def new(cls) -> "Progress":
        return cls(0, {"iteration": [], "loss": [], "accuracy": []}, torch.zeros(3))


def write_in_one_step(target: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a new file or folder beside ``target``, then give it that name: it comes whole or not at all.

    Whoever may read a new file in that folder may read what was written, too.

    Args:
        target: what is there already is replaced if it is a file.
        write: gets the path of an empty folder, and writes ``target.name`` into it.
    """
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        write(folder / target.name)
        new = folder / target.name
        (folder / "usual").touch()
        mode = stat.S_IMODE((folder / "usual").stat().st_mode)  # safetensors lets only the owner read its files
        for path in [new] if new.is_file() else filter(Path.is_file, new.rglob("*")):
            path.chmod(mode)
            with open(path, "r+b") as file:  # for writing, too, because Windows wants that
                os.fsync(file.fileno())
        new.replace(target)
    finally:
        shutil.rmtree(folder)


def generators(device: torch.device) -> ModuleType:
    """The module of PyTorch that holds the random generator which dropout draws from on this device."""
    return torch if device.type == "cpu" else torch.get_device_module(device)


def gather_states(accelerator: Accelerator, progress: Progress) -> dict[str, torch.Tensor]:
    """What differs between processes, a row for each: its random generator's state, and its sums since the last report.

    Every process must call this; each gets ``random``, uint8 (processes, bytes), and ``sums``, float32 (processes, 3).
    """
    random = generators(accelerator.device).get_rng_state()
    mine = {"random": random, "sums": progress.sums}
    return {name: accelerator.gather(part[None].to(accelerator.device)).cpu() for name, part in mine.items()}


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    states: dict[str, torch.Tensor],
    progress: Progress,
    settings: dict,
) -> None:
    """Write all that decides how the training goes on into one safetensors file, in one step.

    Args:
        path: an older checkpoint there stays until the new one is whole.
        model: its parameters are saved, within :func:`torchnlp.occurring_rows` those word vectors that are trained.
        states: as :func:`gather_states` gives them.
        settings: what must be the same when the training goes on; must be JSON.
    """
    tensors = {f"model.{name}": weight.detach().contiguous() for name, weight in model.named_parameters()}
    state = optimizer.state_dict()
    for number, moments in state["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor.contiguous() for name, tensor in moments.items()}
    words = {
        "param_groups": state["param_groups"],
        "scheduler": scheduler.state_dict(),
        "progress": {"iteration": progress.iteration, "history": progress.history},
        "settings": settings,
    }
    metadata = {name: json.dumps(value) for name, value in words.items()}
    write_in_one_step(path, lambda new: save_file(tensors | states, new, metadata=metadata))


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    accelerator: Accelerator,
    settings: dict,
) -> Progress:
    """Put model, optimizer, scheduler and random generator into the state of a checkpoint, and tell how far that is.

    Raises:
        RunError: the checkpoint was made with other settings, or is no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            words = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (SafetensorError, json.JSONDecodeError) as error:
        raise RunError(f"{path} is no checkpoint ({error}): delete it to start again") from error
    if "settings" not in words:
        raise RunError(f"{path} holds weights, but is no checkpoint: delete it to start again")
    differing = [name for name, value in settings.items() if words["settings"].get(name) != value]
    if differing:
        name = differing[0]
        raise RunError(
            f"{path} was made with {name}={words['settings'].get(name)!r}, not {settings[name]!r}: "
            "go on with the same settings, or choose another output folder"
        )
    parts: dict[str, dict] = {"model": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = tensor
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(parts["model"][name])
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        number, _, kind = name.partition(".")
        moments.setdefault(int(number), {})[kind] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": words["param_groups"]})
    scheduler.load_state_dict(words["scheduler"])
    random = tensors["random"][accelerator.process_index].clone()  # PyTorch reads it from the beginning of its memory
    generators(accelerator.device).set_rng_state(random)
    return Progress(**words["progress"], sums=tensors["sums"][accelerator.process_index])


# ------------------------------------------------------------------------------------------------ training and testing


def train(
    accelerator: Accelerator,
    model: nn.Module,
    batches: DataLoader,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    progress: Progress,
    iterations: int,
    report_freq: int,
) -> Iterator[Progress]:
    """Train, and yield after every iteration, so that the caller can save.

    ``model`` comes from ``accelerator.prepare``, which makes the processes share their gradients; ``batches`` gives the
    shares of this process, ``accelerator.gradient_accumulation_steps`` of them for each iteration.
    """
    bar = tqdm(total=iterations, initial=progress.iteration, unit="iteration")  # on one process only
    progress.sums = progress.sums.to(accelerator.device)
    model.train()
    for batch in batches:
        batch = {name: tensor.to(accelerator.device) for name, tensor in batch.items()}
        with accelerator.accumulate(model):  # the processes exchange gradients only where an iteration is complete
            output = model(**batch)
            accelerator.backward(output.loss)
            right = (output.logits.argmax(dim=-1) == batch["labels"]).sum()
            count = len(batch["labels"])
            progress.sums += torch.stack([output.loss.detach() * count, right, right.new_tensor(count)])
            if not accelerator.sync_gradients:
                continue
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        progress.iteration += 1
        bar.update()
        if progress.iteration % report_freq == 0 or progress.iteration == iterations:
            loss, right, count = accelerator.reduce(progress.sums.clone()).tolist()
            progress.sums.zero_()
            for name, value in (("iteration", progress.iteration), ("loss", loss / count), ("accuracy", right / count)):
                progress.history[name].append(value)
            bar.set_postfix(loss=f"{loss / count:.3f}", accuracy=f"{right / count:.3f}")
        yield progress
    bar.close()


@torch.inference_mode()
def test(
    accelerator: Accelerator, model: nn.Module, tokenizer, items: list[tuple[int, str]], max_length: int = 128
) -> tuple[int, int]:
    """Count the right answers, and the answers. Each process takes every n-th item, so that each counts once.

    Returns:
        ``(right, answered)``, both over all processes.
    """
    mine = items[accelerator.process_index :: accelerator.num_processes]
    counts = torch.zeros(2, dtype=torch.long, device=accelerator.device)
    if mine:
        logits = torchnlp.predict(model, tokenizer, [text for _, text in mine], max_length=max_length)
        counts += torch.tensor([(logits.argmax(dim=1) == torchnlp.targets(mine)).sum(), len(mine)]).to(counts)
    right, answered = accelerator.reduce(counts).tolist()
    return right, answered


# -------------------------------------------------------------------------------------------------------- command line


def read_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The settings of the command line; a wrong one ends the program with a line that says which."""

    def natural(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
        return int(text)

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="a new folder, or with --resume that of a run that was cut off")
    parser.add_argument("--processes", type=natural, default=1, help="on the CPU; GPUs are for torchrun")
    parser.add_argument("--iterations", type=natural, default=500, help="how often the weights are updated")
    parser.add_argument("--batch-size", type=natural, default=8, help="examples of one process in one go")
    parser.add_argument("--accumulate", type=natural, default=1, help="goes of each process for one iteration")
    parser.add_argument("--lr", type=float, default=1e-4, help="the highest learning rate")
    parser.add_argument("--dropout", type=float, default=0.0, help="in the model while training; lesson 4 takes 0")
    parser.add_argument("--max-length", type=natural, default=128, help="word pieces after which a text is cut")
    parser.add_argument("--seed", type=int, default=0, help="decides the new head, the order and the dropout")
    parser.add_argument(
        "--precision",
        choices=["auto", "bfloat16", "float32"],
        default="auto",
        help="number format of training and testing; auto is that of TORCHNLP_PRECISION, or else the faster one",
    )
    parser.add_argument(
        "--recompute", action="store_true", help="keep fewer activations, compute them twice: less memory"
    )
    parser.add_argument(
        "--checkpoint-freq", type=natural, default=100, help="iterations from one checkpoint to the next"
    )
    parser.add_argument(
        "--report-freq", type=natural, default=50, help="iterations that one entry of the history covers"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder, if any")
    arguments = parser.parse_args(words)
    if not 0 <= arguments.dropout < 1:
        parser.error(f"--dropout {arguments.dropout} is not from 0 to below 1")
    if not 0 < arguments.lr < 1:
        parser.error(f"--lr {arguments.lr} is not between 0 and 1; BERT wants 2e-5 to 1e-4 for a batch of 8")
    return arguments


@contextlib.contextmanager
def results_in(output: Path, resume: bool) -> Iterator[None]:
    """Hold the folder of the results: nobody else writes to it, and what a killed run left half-written is removed.

    The lock is the operating system's: it ends with the process, however that ends.

    Raises:
        RunError: another run is writing to the folder, or it holds results that are not to be continued.
    """
    output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunError(f"another run is writing to {output}: wait for it, end it, or choose a new folder") from error
    try:
        for left in itertools.chain(*(output.glob(f".{name}.*") for name in RESULTS)):
            shutil.rmtree(left)
        found = [name for name in RESULTS if (output / name).exists()]
        if found and not resume:
            raise RunError(f"{output} holds {found[0]} of an earlier run: add --resume, or choose a new folder")
        yield
    finally:
        lock.release()


def learn(
    accelerator: Accelerator,
    arguments: argparse.Namespace,
    model: nn.Module,
    tokenizer,
    items: list[tuple[int, str]],
    input_ids: list[list[int]],
    checkpoint: Path,
    settings: dict,
) -> Progress:
    """Train, from the checkpoint on where there is one, and write checkpoints. ``input_ids`` are those of the items."""
    examples = arguments.batch_size * arguments.accumulate * accelerator.num_processes
    optimizer, scheduler = torchnlp.prepare_optimizer(model, arguments.lr, arguments.iterations)
    progress = Progress.new()
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, model, optimizer, scheduler, accelerator, settings)
        accelerator.print(f"going on after iteration {progress.iteration}")
    turns = range(arguments.accumulate)
    batches = DataLoader(
        items,
        batch_sampler=Shares(
            torchnlp.LengthGroupedBatches(map(len, input_ids), examples, seed=arguments.seed),
            shares=accelerator.num_processes * arguments.accumulate,
            mine=[turn * accelerator.num_processes + accelerator.process_index for turn in turns],
            start=progress.iteration,
            stop=arguments.iterations,
        ),
        collate_fn=torchnlp.BertCollate(tokenizer, arguments.max_length),
        generator=torch.Generator(),  # of its own: else starting to read draws from the one that dropout goes on with
    )
    shared_model, shared_optimizer = accelerator.prepare(model, optimizer)
    steps = train(
        accelerator,
        shared_model,
        batches,
        shared_optimizer,
        scheduler,
        progress,
        arguments.iterations,
        arguments.report_freq,
    )
    for progress in steps:
        if progress.iteration % arguments.checkpoint_freq == 0 or progress.iteration == arguments.iterations:
            states = gather_states(accelerator, progress)
            if accelerator.is_main_process:
                save_checkpoint(checkpoint, model, optimizer, scheduler, states, progress, settings)
    return progress


def fine_tune(accelerator: Accelerator, arguments: argparse.Namespace) -> None:
    """Prepare, go on where a checkpoint says, train, test, and write the results."""
    processes = accelerator.num_processes
    precision = "bfloat16" if accelerator.mixed_precision == "bf16" else "float32"
    attention = torchnlp.attention_implementation()
    slow = arguments.precision == "auto" and precision == "float32" and not torchnlp.has_fast_bfloat16()
    why = ", as this device has no fast bfloat16" if slow else ""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    told = contextlib.redirect_stdout(sys.stdout if accelerator.is_main_process else io.StringIO())
    with accelerator.local_main_process_first():  # it prepares the folder where that is missing
        folder = torchnlp.model_folder()
    news = [torchnlp.load_texts() if accelerator.is_main_process else None]  # read once, and the same for all
    ((training_items, test_items, classes),) = broadcast_object_list(news)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torchnlp.set_seed(arguments.seed)  # the new head is the same in every process
    model = BertForSequenceClassification.from_pretrained(
        folder,
        num_labels=len(classes),
        use_safetensors=True,
        ignore_mismatched_sizes=True,
        hidden_dropout_prob=arguments.dropout,
        attention_probs_dropout_prob=arguments.dropout,
        attn_implementation=attention,
    )
    with told:
        model = torchnlp.new_head(model, classes).to(accelerator.device)
    positions = model.config.max_position_embeddings
    if arguments.max_length > positions:
        raise RunError(
            f"--max-length {arguments.max_length} is more than the {positions} positions that the model {folder} has: "
            f"choose at most --max-length {positions}; longer texts are cut"
        )
    torchnlp.set_seed(arguments.seed + accelerator.process_index)  # dropout differs between processes
    if arguments.recompute:
        # The method's new name; releases of transformers before 5.23 have the old one only.
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()

    examples = arguments.batch_size * arguments.accumulate * processes
    accelerator.print(
        f"{processes} process{'es' * (processes > 1)} on {accelerator.device.type}, "
        f"{precision}{why}, {attention} attention; "
        f"an iteration takes {arguments.batch_size} x {arguments.accumulate} x {processes} = {examples} examples"
    )
    settings = {name: getattr(arguments, name) for name in TIED}
    settings |= {"processes": processes, "precision": precision, "attention": attention}
    settings |= {"model": folder, "classes": classes}
    settings["news"] = sha256(json.dumps(training_items).encode()).hexdigest()

    checkpoint, final = arguments.output / "checkpoint.safetensors", arguments.output / "model"
    if final.exists():
        accelerator.print(f"{final} is there: nothing is left to do")
        return
    input_ids = tokenizer(
        [text for _, text in training_items], truncation=True, max_length=arguments.max_length
    ).input_ids
    with torchnlp.occurring_rows(model, input_ids):
        progress = learn(accelerator, arguments, model, tokenizer, training_items, input_ids, checkpoint, settings)
    right, answered = test(accelerator, model, tokenizer, test_items, arguments.max_length)
    accelerator.print(f"{right} of {answered} test items right: {right / answered:.4f}")
    if accelerator.is_main_process:
        results = {"history": progress.history, "right": right, "answered": answered, "settings": settings}
        text = json.dumps(results, indent=1) + "\n"
        write_in_one_step(arguments.output / "history.json", lambda new: new.write_text(text, encoding="utf-8"))

        def write_model(new: Path) -> None:
            accelerator.unwrap_model(model, keep_fp32_wrapper=False).save_pretrained(new)
            tokenizer.save_pretrained(new)

        write_in_one_step(final, write_model)  # last: where it is, the run is complete
        checkpoint.unlink(missing_ok=True)


def work(arguments: argparse.Namespace) -> None:
    """Do the part of this process: of all there is to do, where it is the only one."""
    if arguments.precision != "auto":
        os.environ["TORCHNLP_PRECISION"] = arguments.precision  # for torchnlp.predict, which tests
    precision = torchnlp.precision()
    accelerator = Accelerator(
        cpu=torchnlp.device.type == "cpu",
        mixed_precision="bf16" if precision == "bfloat16" else "no",
        gradient_accumulation_steps=arguments.accumulate,
    )
    with results_in(arguments.output, arguments.resume) if accelerator.is_main_process else contextlib.nullcontext():
        fine_tune(accelerator, arguments)
    accelerator.free_memory()  # let go of what uses the connections before they are closed: the other order can hang
    accelerator.end_training()


def work_as(number: int, arguments: argparse.Namespace, port: int) -> None:
    """Do the part of process ``number``, counted from 0, among ``arguments.processes`` of this machine."""
    processes = str(arguments.processes)
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": processes}
    os.environ |= {"LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // arguments.processes))
    try:
        work(arguments)
    except ERRORS as error:
        sys.exit(f"finetune: {error}")


def start_together(arguments: argparse.Namespace) -> None:
    """Start processes on this machine's CPU, and wait for them. Where one fails, the others are ended.

    On Linux they are forked: what this process has imported they need not import, as each process of torchrun must.

    Raises:
        RunError: they would run on a GPU, or torchrun has started this process.
        ProcessExitedException: one of them has failed.
    """
    if torchnlp.device.type != "cpu" or "LOCAL_RANK" in os.environ:
        raise RunError(
            "--processes starts them on the CPU: set TORCHNLP_DEVICE=cpu and do without torchrun, or leave "
            "it out and let torchrun start the processes"
        )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # a free one, for process 0 to listen at
    method = "fork" if sys.platform == "linux" else "spawn"
    start_processes(work_as, (arguments, port), nprocs=arguments.processes, start_method=method)


def main(words: list[str] | None = None) -> None:
    """Do what the command line says."""
    arguments = read_arguments(words)
    if torchnlp.device.type == "cuda" and torchnlp.device.index:
        raise RunError(f"TORCHNLP_DEVICE={torchnlp.device}: set CUDA_VISIBLE_DEVICES={torchnlp.device.index} instead")
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if torchnlp.device.type == "cuda" and here > gpus:
        raise RunError(
            f"{here} processes for {gpus} GPU{'s' * (gpus > 1)} here: let --nproc_per_node be at most {gpus}, "
            "or set TORCHNLP_DEVICE=cpu"
        )
    if arguments.processes > 1:
        start_together(arguments)
    else:
        work(arguments)


if __name__ == "__main__":
    try:
        main()
    except (*ERRORS, ProcessExitedException) as error:  # a process that has ended has said why, or was killed
        sys.exit(f"finetune: {error}")
