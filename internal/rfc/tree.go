package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// tree is what the repository cites, and what can be named in a table.
type tree struct {
	root  string
	cited map[clause]*places
	files map[string]bool // by path in the repository
	tests map[string]bool // by name, with their subtests' scripts
}

// places are where a clause is cited: files, and tests as "file TestName" or
// the path of a script.
type places struct{ code, tests map[string]bool }

// equipment is what tests use: it obeys no RFC itself.
var equipment = []string{"internal/script/", "internal/sim/", "internal/lab/", "internal/link/", "internal/rfc/", "perf/"}

func readTree(root string) (*tree, error) {
	t := &tree{root: root, cited: map[clause]*places{}, files: map[string]bool{}, tests: map[string]bool{}}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && rel != ".":
			return filepath.SkipDir
		case d.IsDir() || strings.HasPrefix(rel, "internal/rfc/"):
			return nil
		}
		t.files[rel] = true
		return t.read(rel)
	})
	return t, err
}

// read takes a file's citations.
func (t *tree) read(file string) error {
	script, isGo := path.Ext(file) == ".pkt", path.Ext(file) == ".go"
	if !script && !isGo {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(t.root, file))
	if err != nil {
		return err
	}
	if script {
		t.tests[strings.TrimSuffix(path.Base(file), ".pkt")] = true
		for _, c := range cites(string(b)) {
			t.place(c.clause).tests[file] = true
		}
		return nil
	}
	isTest := strings.HasSuffix(file, "_test.go")
	owners, err := t.owners(file, b, isTest)
	if err != nil {
		return err
	}
	for _, c := range cites(string(b)) {
		switch {
		case isTest:
			t.place(c.clause).tests[strings.TrimSpace(file+" "+owners(c.at))] = true
		case !isEquipment(file):
			t.place(c.clause).code[file] = true
		}
	}
	return nil
}

func isEquipment(file string) bool {
	for _, dir := range equipment {
		if strings.HasPrefix(file, dir) {
			return true
		}
	}
	return false
}

func (t *tree) place(c clause) *places {
	p := t.cited[c]
	if p == nil {
		p = &places{map[string]bool{}, map[string]bool{}}
		t.cited[c] = p
	}
	return p
}

// owners tells which test stands at an offset of a file, its comment included.
func (t *tree) owners(file string, src []byte, isTest bool) (func(at int) string, error) {
	if !isTest {
		return nil, nil
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	type span struct {
		from, to int
		name     string
	}
	var spans []span
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !isTestName(fn.Name.Name) {
			continue
		}
		from := fn.Pos()
		if fn.Doc != nil {
			from = fn.Doc.Pos()
		}
		t.tests[fn.Name.Name] = true
		spans = append(spans, span{set.Position(from).Offset, set.Position(fn.End()).Offset, fn.Name.Name})
	}
	return func(at int) string {
		for _, s := range spans {
			if s.from <= at && at < s.to {
				return s.name
			}
		}
		return ""
	}, nil
}

func isTestName(s string) bool {
	for _, p := range []string{"Test", "Fuzz", "Benchmark"} {
		if strings.HasPrefix(s, p) && s != p && (s[len(p)] < 'a' || s[len(p)] > 'z') {
			return true
		}
	}
	return false
}
