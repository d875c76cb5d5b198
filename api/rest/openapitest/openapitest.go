// Package openapitest holds a node's answers against the OpenAPI document that it serves, for tests.
package openapitest

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Read is one reading operation, with what was answered.
type Read struct {
	Path string
	Code int
}

// Check asks a node for everything that its document says can be read, and demands that each answer is of the schema that stands there, with no field that is
// not described. It says what was asked.
func Check(t *testing.T, base string) (asked []Read) {
	t.Helper()
	_, body := get(t, base+"/v1/openapi.json")
	doc := decode(t, "/v1/openapi.json", body).(map[string]any)
	closed(doc["components"])
	closed(doc["paths"])
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("doc.json", doc); err != nil {
		t.Fatal(err)
	}
	paths := doc["paths"].(map[string]any)
	for path, item := range paths {
		op, ok := item.(map[string]any)["get"].(map[string]any)
		if !ok || strings.Contains(path, "{") || !answersJSON(op) || path == "/v1/openapi.json" {
			continue
		}
		code, body := get(t, base+path)
		asked = append(asked, Read{path, code})
		response := "default"
		if code == http.StatusOK {
			response = "200"
		}
		pointer := "doc.json#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/get/responses/" + response + "/content/application~1json/schema"
		schema, err := c.Compile(pointer)
		if err != nil {
			t.Fatalf("the schema of GET %s: %v", path, err)
		}
		if err := schema.Validate(decode(t, path, body)); err != nil {
			t.Errorf("GET %s answers %d with what is not described: %v\n%s", path, code, err, body)
		}
	}
	slices.SortFunc(asked, func(a, b Read) int { return strings.Compare(a.Path, b.Path) })
	return asked
}

func answersJSON(op map[string]any) bool {
	r, _ := op["responses"].(map[string]any)["200"].(map[string]any)
	content, _ := r["content"].(map[string]any)
	return content["application/json"] != nil
}

// closed takes the freedom out of schemas that have properties: what is not described is wrong.
func closed(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["type"] == "object" && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, sub := range v {
			closed(sub)
		}
	case []any:
		for _, sub := range v {
			closed(sub)
		}
	}
}

func decode(t *testing.T, where string, body []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v\n%s", where, err, body)
	}
	return v
}

func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	c := http.Client{Timeout: 20 * time.Second}
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, body
}
