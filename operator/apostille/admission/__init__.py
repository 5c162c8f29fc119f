"""The admission server: what the API server asks before it stores a pod or one of the two kinds."""
