"""The task type `image`: one image in, any number of sizes and formats out. Each step is a module of its own.

The package imports none of them: the watermark of a video needs `colour` alone, in a process that loads little.
"""
