"""Other engines on the same work, each as its own documentation recommends and as was found fastest on two cores."""
