"""Pipelines of diffusers with tiny random networks, on disk, and loaded from there as runs of ours."""

from __future__ import annotations

import tempfile
from functools import lru_cache

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

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


def transformer_vae(channels: int, **scaled) -> AutoencoderKL:
    """A VAE of latents of 16 x 16, whose draws are their means."""
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=channels, sample_size=32, down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=8,
        **({"use_quant_conv": False, "use_post_quant_conv": False} | scaled),
    )  # fmt: skip
    last = vae.encoder.conv_out if vae.quant_conv is None else vae.quant_conv
    with torch.no_grad():
        last.weight[channels:] = 0
        last.bias[channels:] = -30
    return vae.eval()


def shaken(net):
    """A network with all its weights random: much of a transformer begins as zeros."""
    for parameter in net.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def components_dit() -> dict:
    """What a DiT is made of; its network says what a variance is, too."""
    torch.manual_seed(0)
    net = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=1, sample_size=16,
        num_embeds_ada_norm=1000,
    )  # fmt: skip
    vae = transformer_vae(4, scaling_factor=0.5, use_quant_conv=True, use_post_quant_conv=True)
    return {"transformer": shaken(net), "vae": vae, "scheduler": DDIMScheduler(clip_sample=False)}


def components_sd3(**flow) -> dict:
    """What a Stable Diffusion 3 is made of."""
    torch.manual_seed(0)
    net = SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=64, caption_projection_dim=16, pooled_projection_dim=2 * WIDTH, out_channels=4, pos_embed_max_size=12,
    )  # fmt: skip
    clips = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}
    parts = {name: CLIPTextModelWithProjection(tower()).eval() for name in clips}
    parts |= {name: _tokenizer() for name in clips.values()}
    parts |= {"text_encoder_3": t5(), "tokenizer_3": _t5_tokenizer()}
    scheduler = FlowMatchEulerDiscreteScheduler(**({"shift": 3.0} | flow))
    vae = transformer_vae(4, scaling_factor=1.5, shift_factor=0.06)
    return parts | {"transformer": shaken(net), "vae": vae, "scheduler": scheduler}


def components_flux(guided: bool = True) -> dict:
    """What a Flux is made of, told guidance (dev) or not (schnell)."""
    torch.manual_seed(0)
    net = FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2, joint_attention_dim=64,
        pooled_projection_dim=WIDTH, guidance_embeds=guided, axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    return {
        "transformer": shaken(net), "vae": transformer_vae(4, scaling_factor=0.4, shift_factor=0.1), "text_encoder":
        CLIPTextModel(tower()).eval(), "tokenizer": _tokenizer(), "text_encoder_2": t5(), "tokenizer_2": _t5_tokenizer(),
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=guided),
    }  # fmt: skip


def t5() -> T5EncoderModel:
    """A text encoder without places of its own."""
    config = T5Config(
        vocab_size=32, d_model=64, d_kv=8, d_ff=32, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"
    )
    return shaken(T5EncoderModel(config))


def _t5_tokenizer() -> T5TokenizerFast:
    names = ["<pad>", "</s>", "<unk>", *(f"\u2581{word}" for word in WORDS.split()), "\u2581"]
    return T5TokenizerFast(vocab=[(name, -float(k)) for k, name in enumerate(names)], extra_ids=0)


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
