"""Figures about a trained model, with their uncertainty."""
