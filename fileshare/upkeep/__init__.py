"""What the portal puts right by itself: reconciling store and rows, the bucket's lifecycle rules."""
