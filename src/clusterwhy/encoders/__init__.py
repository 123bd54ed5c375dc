"""Self-supervised encoders: networks, training, storage."""
