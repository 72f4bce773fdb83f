// Package locale writes pages' words, numbers and times in the reader's language. English is the source:
// a text is its own key, and words/*.json holds the translations. A test finds every text that lacks one.
package locale
