"""The others on the same GPU, model and rows: a loop of 2023, TRL's trainer; and a profile of ours.

All keep float32 weights and compute in bf16 under autocast, as ours does on one GPU.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gpu
import torch
from llama_x import padded
from transformers import AutoModelForCausalLM, TrainerCallback

MICRO_BATCH = 8


class Steps:
    """Seconds of each step, with the GPU's work done."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def begin(self) -> None:
        torch.cuda.synchronize()
        self._began = time.perf_counter()

    def end(self) -> None:
        torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds.append(now - self._began)
        self._began = now


def measured(name: str, rows: Any, model: Path, folder: Path, steps: int) -> dict[str, Any]:
    if name == "ckpt llama-x":
        return _told(_llama_x(rows, model, steps), rows)
    if name.startswith("ckpt trl"):
        return _told(_trl(rows, model, folder, liger="liger" in name), rows)
    if name.startswith("profile"):
        return _profile(rows, model, name.split())
    return _stall(folder, int(name.split()[1]))


def _told(steps: Steps, rows: Any) -> dict[str, Any]:
    counted, size = steps.seconds[gpu.WARM_UP :], gpu.GLOBAL_BATCH
    used = rows.ids[gpu.WARM_UP * size :]
    part = gpu.Rows(used, rows.labels[gpu.WARM_UP * size :])
    mfu = gpu.flops(part) / sum(counted) / 989e12
    return {
        "tokensPerSecond": round(sum(map(len, used)) / sum(counted)),
        "mfu": round(mfu, 4),
        "mfuStrict": round(mfu * gpu.strictness(part), 4),
        "peakGiB": round(torch.cuda.max_memory_allocated() / 2**30, 2),
        "stepSeconds": [round(one, 3) for one in steps.seconds],
    }


def _llama_x(rows: Any, folder: Path, steps: int) -> Steps:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to("cuda")
    model.config.use_cache = False
    model.activation_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0)
    model.train()
    clock, accumulation = Steps(), gpu.GLOBAL_BATCH // MICRO_BATCH
    clock.begin()
    for step in range(steps):
        for number in range(accumulation):
            first = step * gpu.GLOBAL_BATCH + number * MICRO_BATCH
            batch = padded(
                [
                    {"input_ids": rows.ids[place], "labels": rows.labels[place]}
                    for place in range(first, first + MICRO_BATCH)
                ]
            )
            with torch.autocast("cuda", torch.bfloat16):
                loss = model(**{name: one.to("cuda") for name, one in batch.items()}).loss
            (loss / accumulation).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.end()
    return clock


class _Timer(TrainerCallback):
    def __init__(self) -> None:
        self.steps = Steps()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.steps.begin()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.steps.end()


def _trl(rows: Any, folder: Path, scratch: Path, *, liger: bool) -> Steps:
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    words = {"</s>": 0, **{f"w{number}": number for number in range(1, 100)}}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w1")),  # noqa: S106
        eos_token="</s>",  # noqa: S106
        pad_token="</s>",  # noqa: S106
    )
    timer = _Timer()
    config = SFTConfig(
        output_dir=str(scratch / "trl"),
        per_device_train_batch_size=MICRO_BATCH,
        gradient_accumulation_steps=gpu.GLOBAL_BATCH // MICRO_BATCH,
        num_train_epochs=1,
        learning_rate=2e-5,
        max_length=gpu.LONGEST,
        gradient_checkpointing=True,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=True,
        use_liger_kernel=liger,
        optim="adamw_torch_fused",
        max_grad_norm=1.0,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    both = zip(rows.ids, rows.labels, strict=True)
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list([{"input_ids": a, "labels": b} for a, b in both]),
        processing_class=tokenizer,
        callbacks=[timer],
    )
    trainer.train()
    return timer.steps


def _profile(rows: Any, folder: Path, words: list[str]) -> dict[str, Any]:
    """Return where the GPU's time goes in one packed pass of our loss, and its span."""
    import numpy as np
    from torch.profiler import ProfilerActivity, profile

    from uncensor_trainer import fusion, varlen
    from uncensor_trainer.data.batches import flat
    from uncensor_trainer.data.layout import Layout
    from uncensor_trainer.losses import LossHead
    from uncensor_trainer.model import narrow_stream

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=varlen.register()
    ).to("cuda")
    narrow_stream(model, torch.bfloat16)
    if "ckpt" in words:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if "compile" in words:
        fusion.compile_layers(model)
    if "liger" in words:
        fusion._liger()._apply_liger_kernel_to_instance(
            model=model, cross_entropy=False, fused_linear_cross_entropy=False
        )
    model.train()
    few = range(16)
    views = [
        (np.array(rows.ids[n], np.uint32), (np.array(rows.labels[n]) >= 0).astype(np.uint8))
        for n in few
    ]
    [batch] = Layout(True, 10**6, False, True).passes(flat(views))
    there = {k: v.to("cuda") if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
    head = LossHead(model)

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = head.summed(model, there)
        loss.backward()

    for _ in range(3):
        step()
    clock = Steps()
    clock.begin()
    step()
    clock.end()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as found:
        step()
        torch.cuda.synchronize()
    events = [one for one in found.key_averages() if one.self_device_time_total > 0]
    kernels = sorted(
        (one for one in events if "CUDA" in str(one.device_type)),
        key=lambda one: -one.self_device_time_total,
    )
    return {
        "tokens": batch["input_ids"].numel(),
        "seconds": round(clock.seconds[0], 4),
        "kernelSeconds": round(sum(one.self_device_time_total for one in kernels) / 1e6, 4),
        "kernels": [
            [one.key[:110], one.count, round(one.self_device_time_total / 1e3, 2)]
            for one in kernels[:32]
        ],
    }


def trace_a_step() -> dict[str, Any]:
    """Profile the third step of the stage; what is returned gets filled in then."""
    from torch.profiler import ProfilerActivity, profile

    from uncensor_trainer.loop import Boundary

    found: dict[str, Any] = {}
    profiler = profile(activities=[ProfilerActivity.CUDA])
    on_step_end = Boundary.on_step_end

    def traced(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step == 2:
            torch.cuda.synchronize()
            profiler.start()
            found["began"] = time.perf_counter()
        if state.global_step == 3:
            torch.cuda.synchronize()
            wall = time.perf_counter() - found.pop("began")
            profiler.stop()
            found.update(_timeline(profiler, wall))
        on_step_end(self, args, state, control, **more)

    Boundary.on_step_end = traced
    return found


def _timeline(profiler: Any, wall: float) -> dict[str, Any]:
    """Return how busy the GPU was, the longest gaps, and which kernels took the time."""
    events = [one for one in profiler.events() if "CUDA" in str(one.device_type)]
    spans = sorted((one.time_range.start, one.time_range.end, one.name) for one in events)
    busy, last, gaps = 0.0, spans[0][0], []
    by_name: dict[str, list[float]] = {}
    for start, end, name in spans:
        if start > last:
            gaps.append((round((start - last) / 1e3, 2), round((last - spans[0][0]) / 1e3), name))
        busy += max(0.0, end - max(start, last))
        last = max(last, end)
        by_name.setdefault(name[:90], []).append(end - start)
    kernels = sorted(by_name.items(), key=lambda one: -sum(one[1]))[:40]
    return {
        "wall": round(wall, 3),
        "span": round((last - spans[0][0]) / 1e6, 3),
        "busy": round(busy / 1e6, 3),
        "gaps": sorted(gaps, reverse=True)[:12],
        "kernels": [[n, len(t), round(sum(t) / 1e3, 1)] for n, t in kernels],
    }


def _stall(folder: Path, millions: int) -> dict[str, Any]:
    """Measure the stop for a checkpoint of a state that lies on the GPU, in both ways."""
    import stall

    numbers = stall.Numbers(0)
    numbers._pieces = [
        stall.Piece(kind, f"layer.{number}", 0, torch.rand(stall.MILLION, device="cuda"))
        for kind in stall.KINDS
        for number in range(millions)
    ]
    ways = {
        "waited": stall.Way(folder / "waited", numbers, asynchronous=False),
        "background": stall.Way(folder / "behind", numbers, asynchronous=True),
    }
    for step in (1, 2, 3):
        for way in ways.values():
            way.save(step)
    return {
        "stateGiB": round(millions * 12e6 / 2**30, 2),
        **{name: stall._shown(way) for name, way in ways.items()},
        "faults": [stall.fault_of(way.checkpoints.folder / "step-3") for way in ways.values()],
    }
