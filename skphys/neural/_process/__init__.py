"""The attentive neural process: its module, its training and its predictions."""
