package campaign

// Merge is merge, for its tests.
var Merge = merge
