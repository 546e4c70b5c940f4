"""Why a decision came out as it did: causes, counterfactuals, what a person may try by hand."""
