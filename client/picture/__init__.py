"""Drawing of pictures and of what is measured in them."""
