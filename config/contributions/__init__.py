"""How apps hand in what a lower app needs: the registry, and the kinds of values that config itself keeps."""
