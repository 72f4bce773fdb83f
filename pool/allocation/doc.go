// Package allocation is the published file of one block: how its reward was divided, row by row, in a form
// that anybody can recompute and that names nobody but to those who know the pool's secret.
package allocation
