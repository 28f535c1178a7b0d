"""What DTQS can do: the built-in processors, and the catalog of all."""
