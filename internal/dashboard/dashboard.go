// Package dashboard serves the pages of the service: the files that web/ builds
// into site/dist, carried inside the program. A program that was built without
// Node.js carries a page instead that says how to get them.
//
// Every path that is no file is the application's own, which reads the address
// in the browser. Pages run under a content security policy that allows no
// inline script. The package knows nothing of clusters, people or sessions, and
// answers nothing under /api/.
package dashboard

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// site always holds the placeholder; dist is there after a build of web/.
//
//go:embed all:site
var site embed.FS

// Built says whether the program carries the real pages.
func Built() bool {
	_, err := fs.Stat(site, "site/dist/index.html")
	return err == nil
}

// Handler serves the dashboard. It is safe for concurrent use.
func Handler() http.Handler {
	root := "site/placeholder"
	if Built() {
		root = "site/dist"
	}
	files, err := fs.Sub(site, root)
	if err != nil { // only a malformed constant above could do that
		panic(err)
	}
	return newHandler(files)
}

// A handler serves the files of one build.
type handler struct {
	index []byte
	files map[string]*asset // by URL path
}

func newHandler(files fs.FS) *handler {
	h := &handler{files: map[string]*asset{}}
	_ = fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, p)
		if err != nil {
			return err
		}
		if p == "index.html" {
			h.index = data
			return nil
		}
		h.files["/"+p] = newAsset(p, data)
		return nil
	})
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the dashboard is only read", http.StatusMethodNotAllowed)
		return
	}
	name := path.Clean("/" + r.URL.Path)
	if a := h.files[name]; a != nil {
		a.serve(w, r)
		return
	}
	if !isPage(name) {
		http.NotFound(w, r)
		return
	}
	h.servePage(w)
}

// isPage says whether a path that is no file may be a page of the application.
// A missing script must not be answered with a page, nor a missing API.
func isPage(name string) bool {
	top, _, _ := strings.Cut(name[1:], "/")
	return top != "assets" && top != "api" && path.Ext(name) == ""
}
