"""SceneMoE: the compact multimodal mixture of experts that ships with the product.

Importing this package makes the model known to the auto classes of transformers.
"""

from transformers import AutoConfig, AutoModelForVisualQuestionAnswering, AutoProcessor

from r2t2_core.models.scene_moe.adapter import SceneMoeAdapter
from r2t2_core.models.scene_moe.configuration_scene_moe import OWNERS, SceneMoeConfig
from r2t2_core.models.scene_moe.modeling_scene_moe import SceneMoeForQuestionAnswering
from r2t2_core.models.scene_moe.processing_scene_moe import SceneMoeProcessor

AutoConfig.register(SceneMoeConfig.model_type, SceneMoeConfig)
AutoModelForVisualQuestionAnswering.register(SceneMoeConfig, SceneMoeForQuestionAnswering)
AutoProcessor.register(SceneMoeConfig, SceneMoeProcessor)

__all__ = [
    "OWNERS",
    "SceneMoeAdapter",
    "SceneMoeConfig",
    "SceneMoeForQuestionAnswering",
    "SceneMoeProcessor",
]
