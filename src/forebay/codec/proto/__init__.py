"""Rerun's protobuf messages: our own `.proto` files, and what `make proto` makes of them."""
