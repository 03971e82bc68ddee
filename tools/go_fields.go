// Prints the shape of the API types in folders of Go source, one line a fact, as input for
// tools/derive_schema.py. Run by hand, never by the build:
//
//	go run tools/go_fields.go k8s.io.api.core.v1=/path/to/api/core/v1 ... > go-fields.txt
//
// Lines: "package <name>", "  struct <Name> <marks>", "    <GoName> <go type> `<tag>` <marks>",
// "  scalar <Name> <go type> <marks>", "  const <Type> <value>", "  group <name>", "  kind <Name>".
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

func text(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.StarExpr:
		return "*" + text(t.X)
	case *ast.ArrayType:
		return "[]" + text(t.Elt)
	case *ast.MapType:
		return "map[" + text(t.Key) + "]" + text(t.Value)
	case *ast.SelectorExpr:
		return text(t.X) + "." + t.Sel.Name
	case *ast.InterfaceType:
		return "interface{}"
	}
	return fmt.Sprintf("?%T", e)
}

func marks(groups ...*ast.CommentGroup) string {
	out := ""
	for _, g := range groups {
		if g == nil {
			continue
		}
		for _, c := range g.List {
			line := strings.TrimSpace(strings.TrimPrefix(c.Text, "//"))
			if strings.HasPrefix(line, "+") {
				out += "\t" + line
			}
		}
	}
	return out
}

func typeSpec(d *ast.GenDecl, s *ast.TypeSpec) {
	doc := marks(d.Doc, s.Doc)
	st, ok := s.Type.(*ast.StructType)
	if !ok {
		fmt.Printf("  scalar %s %s%s\n", s.Name.Name, text(s.Type), doc)
		return
	}
	fmt.Printf("  struct %s%s\n", s.Name.Name, doc)
	for _, f := range st.Fields.List {
		tag := "``"
		if f.Tag != nil {
			tag = f.Tag.Value
		}
		names := []string{"-"}
		if len(f.Names) > 0 {
			names = nil
			for _, n := range f.Names {
				names = append(names, n.Name)
			}
		}
		for _, n := range names {
			fmt.Printf("    %s\t%s\t%s%s\n", n, text(f.Type), tag, marks(f.Doc))
		}
	}
}

func file(f *ast.File) {
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "addKnownTypes" {
			ast.Inspect(fn, func(n ast.Node) bool {
				if c, ok := n.(*ast.CompositeLit); ok {
					if id, ok := c.Type.(*ast.Ident); ok {
						fmt.Printf("  kind %s\n", id.Name)
					}
				}
				return true
			})
		}
		d, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		last := ""
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				typeSpec(d, s)
			case *ast.ValueSpec:
				if s.Type != nil {
					last = text(s.Type)
				}
				for i, n := range s.Names {
					if i >= len(s.Values) {
						continue
					}
					if lit, ok := s.Values[i].(*ast.BasicLit); ok && d.Tok == token.CONST {
						if n.Name == "GroupName" {
							fmt.Printf("  group %s\n", lit.Value)
						} else if s.Type != nil {
							fmt.Printf("  const %s %s %s\n", last, n.Name, lit.Value)
						}
					}
				}
			}
		}
	}
}

func main() {
	for _, arg := range os.Args[1:] {
		name, dir, _ := strings.Cut(arg, "=")
		fmt.Printf("package %s\n", name)
		paths, _ := filepath.Glob(filepath.Join(dir, "*.go"))
		sort.Strings(paths)
		for _, p := range paths {
			base := filepath.Base(p)
			if strings.HasSuffix(base, "_test.go") || strings.HasPrefix(base, "zz_") ||
				strings.HasPrefix(base, "generated") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			file(parsed)
		}
	}
}
