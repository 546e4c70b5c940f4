"""SceneMoE: the compact multimodal mixture of experts that ships with the product."""

from r2t2_core.models.scene_moe.adapter import SceneMoeAdapter
from r2t2_core.models.scene_moe.configuration_scene_moe import OWNERS, SceneMoeConfig
from r2t2_core.models.scene_moe.modeling_scene_moe import SceneMoeForQuestionAnswering
from r2t2_core.models.scene_moe.processing_scene_moe import SceneMoeProcessor

__all__ = [
    "OWNERS",
    "SceneMoeAdapter",
    "SceneMoeConfig",
    "SceneMoeForQuestionAnswering",
    "SceneMoeProcessor",
]
