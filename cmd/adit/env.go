package main

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// envPrefix begins the variables that override the configuration file: the keys' path in capitals,
// joined by two underscores, list places counted from 0: ADIT_POOL__0__NODE__0__URL.
const envPrefix = "ADIT_"

// overrideFromEnv applies such variables. A path with "__" that leads nowhere is an error; other ADIT_
// variables belong to somebody else.
func overrideFromEnv(cfg *Config, env []string) error {
	for _, kv := range env {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || !strings.HasPrefix(name, envPrefix) {
			continue
		}
		path := strings.Split(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__")
		field, ok := lookUp(reflect.ValueOf(cfg).Elem(), path)
		if !ok {
			if len(path) > 1 {
				return fmt.Errorf("environment variable %s names no key of the configuration", name)
			}
			continue
		}
		if err := setText(field, value); err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
	}
	return nil
}

// lookUp follows toml names and list places.
func lookUp(v reflect.Value, path []string) (reflect.Value, bool) {
	for _, part := range path {
		switch v.Kind() {
		case reflect.Struct:
			found := false
			for i := range v.NumField() {
				if v.Type().Field(i).Tag.Get("toml") == part {
					v, found = v.Field(i), true
					break
				}
			}
			if !found {
				return v, false
			}
		case reflect.Slice:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= v.Len() {
				return v, false
			}
			v = v.Index(i)
		default:
			return v, false
		}
	}
	return v, v.Kind() != reflect.Struct && v.Kind() != reflect.Slice
}

func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not true or false", text)
		}
		v.SetBool(b)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(f)
	case reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	case reflect.Uint32:
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is not a whole number from 0", text)
		}
		v.SetUint(n)
	default:
		return fmt.Errorf("cannot be set from the environment")
	}
	return nil
}
