"""Pipelines of diffusers with tiny random networks, on disk, and loaded from there as runs of ours."""

from __future__ import annotations

import tempfile
from functools import lru_cache

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, PreTrainedTokenizerFast

from veridical.pretrained.parts import quiet
from veridical.runs.run import load

SIZE, LENGTH, WIDTH = 64, 12, 32  # of images, of texts in tokens, of their vectors
WORDS = "a wave of two three kinds with without cracks in the fibre"
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def components(seed: int = 0, beside: int = 0, **network) -> dict:
    """What a pipeline of Stable Diffusion is made of: latents of 32 x 32, attention in all four resolutions.

    Its U-Net sees `beside` channels beside the latents. Draws of latents are their means.
    """
    torch.manual_seed(seed)
    block = {"layers_per_block": 1, "block_out_channels": (16, 32), "norm_num_groups": 8}
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=SIZE, scaling_factor=0.5,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, **block,
    )  # fmt: skip
    with torch.no_grad():
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -30
    usual = {
        "block_out_channels": (16, 16, 32, 32), "down_block_types": ("CrossAttnDownBlock2D",) * 4,
        "up_block_types": ("CrossAttnUpBlock2D",) * 4, "cross_attention_dim": WIDTH,
    }  # fmt: skip
    unet = UNet2DConditionModel(
        in_channels=4 + beside, sample_size=SIZE // 2, layers_per_block=1, norm_num_groups=8, attention_head_dim=2,
        **(usual | network),
    )  # fmt: skip
    return {
        "vae": vae.eval(), "unet": unet.eval(), "text_encoder": CLIPTextModel(tower()).eval(), "tokenizer": _tokenizer(),
        "scheduler": scheduler(), "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
    }  # fmt: skip


def tower() -> CLIPTextConfig:
    """Of a text encoder."""
    return CLIPTextConfig(
        vocab_size=32, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=LENGTH, pad_token_id=0, bos_token_id=1, eos_token_id=2, projection_dim=WIDTH,
    )  # fmt: skip


def components_xl() -> dict:
    """What one of Stable Diffusion XL is made of: two text encoders side by side, and the second's summary."""
    parts = components(
        cross_attention_dim=2 * WIDTH, block_out_channels=(16, 32), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH, transformer_layers_per_block=1,
    )  # fmt: skip
    second = {"text_encoder_2": CLIPTextModelWithProjection(tower()).eval(), "tokenizer_2": _tokenizer()}
    unused = ("safety_checker", "requires_safety_checker", "feature_extractor")
    return {name: part for name, part in parts.items() if name not in unused} | second


def _tokenizer() -> PreTrainedTokenizerFast:
    names = ["<pad>", "<begin>", "<end>", "<unknown>", *WORDS.split()]
    words = Tokenizer(models.WordLevel({name: k for k, name in enumerate(names)}, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        "<begin> $A <end>", special_tokens=[("<begin>", 1), ("<end>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<begin>", eos_token="<end>", model_max_length=LENGTH
    )


def scheduler(**how) -> DDIMScheduler:
    """DDIM as most folders have it, but for its last step, which leads to the image itself."""
    return DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True, steps_offset=1, **how)


def written(folder, parts=None, kind=StableDiffusionPipeline):
    """A folder of a pipeline with random weights, as diffusers writes it."""
    parts = components() if parts is None else parts
    with quiet():
        kind(**parts).save_pretrained(folder)
    return folder


def loaded(folder, parts=None, kind=StableDiffusionPipeline, **settings):
    """The same as a run of ours."""
    return load(f"hub:{written(folder, parts, kind)}", "cpu", settings)


@lru_cache
def piped():
    """The model and the words of a Stable Diffusion that was written and loaded again."""
    with tempfile.TemporaryDirectory() as folder:
        run = loaded(folder, guidance_scale=3.0)
    return run.model, run.pipeline.words
