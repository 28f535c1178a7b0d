"""Tasks as HTTP resources."""
