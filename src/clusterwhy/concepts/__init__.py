"""Concept relevance propagation: relevance that passes through chosen channels of a layer."""
