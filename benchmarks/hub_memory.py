"""Peak memory of a pipeline with a U-Net of the size of Stable Diffusion 1.5's (860 M numbers), with random weights.

``python benchmarks/hub_memory.py`` writes the pipeline to a temporary folder (3.4 GB), loads it in a process of its own, takes
one denoising step of one image of 512 x 512 pixels, and prints a table. The text encoder and the VAE are tiny: what is measured
is the U-Net. ``--folder DIR`` measures a pipeline that is there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def write(folder: Path) -> None:
    """A pipeline with the U-Net of Stable Diffusion 1.5 and tiny other parts."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<begin>": 1, "<end>": 2, "<unknown>": 3}, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        "<begin> $A <end>", special_tokens=[("<begin>", 1), ("<end>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<begin>", eos_token="<end>", model_max_length=77
    )
    text = CLIPTextConfig(
        vocab_size=16, hidden_size=768, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=77, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4, sample_size=512,
    )  # fmt: skip
    with torch.device("cpu"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
    StableDiffusionPipeline(
        vae=vae, unet=unet, text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def measure(folder: Path, dtype: str) -> None:
    """Print a row: numbers, memory of the weights by their headers, peaks after loading and after a step, seconds."""
    import torch

    from veridical.core.device import peak_memory_mb
    from veridical.runs.run import load

    empty = peak_memory_mb(torch.device("cpu")) or 0.0
    began = time.monotonic()
    run = load(f"hub:{folder}", settings={"dtype": dtype})
    seconds, loaded = time.monotonic() - began, peak_memory_mb(torch.device("cpu")) or 0.0
    model = run.model
    began = time.monotonic()
    with torch.no_grad():
        cond = model.hear(run.pipeline.words.cond(["a slice"]), 1)
        x = torch.randn(1, *model.shape, device=run.device)
        model.denoise(x, torch.ones(1, device=run.device), cond)
    step = time.monotonic() - began
    peak = peak_memory_mb(torch.device("cpu")) or 0.0
    gpu = f", GPU peak {peak_memory_mb(run.device):,.0f} MiB" if run.device.type == "cuda" else ""
    numbers = run.info.cost.parameters
    print(
        f"{run.info.args['dtype']}: {numbers / 1e6:,.0f} M numbers; peak resident {empty:,.0f} MiB before, {loaded:,.0f} MiB "
        f"loaded ({seconds:.0f} s), {peak:,.0f} MiB after one step ({step:.0f} s){gpu}",
        flush=True,
    )


def main() -> None:
    """Write, then measure in a process that has not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="a pipeline that is there")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--worker", choices=("write", "measure"))
    asked = parser.parse_args()
    if asked.worker == "write":
        write(asked.folder)
    elif asked.worker == "measure":
        measure(asked.folder, asked.dtype)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            folder = asked.folder or Path(scratch)
            work = ["measure"] if asked.folder else ["write", "measure"]
            for worker in work:
                call = [sys.executable, __file__, "--folder", str(folder), "--worker", worker, "--dtype", asked.dtype]
                subprocess.run(call, check=True)


if __name__ == "__main__":
    main()
