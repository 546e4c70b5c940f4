"""R2-T2 Workbench: test-time re-routing of multimodal mixture-of-experts models.

The package holds the method, the models, the reference sets and the records.
It knows nothing of the pages that show them.
"""

__version__ = "0.1.0"
