package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// An asset is one file with what it takes to serve it.
type asset struct {
	data      []byte
	mediaType string
	etag      string
	// forever is set for files whose name changes with what is in them.
	forever bool
	zipOnce sync.Once
	zipped  []byte // nil when packing gains nothing
}

// mediaTypes does not leave the types of our own files to the machine's table.
var mediaTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	".woff2": "font/woff2", ".png": "image/png", ".json": "application/json", ".txt": "text/plain; charset=utf-8",
}

func newAsset(name string, data []byte) *asset {
	sum := sha256.Sum256(data)
	a := &asset{data: data, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, forever: strings.HasPrefix(name, "assets/")}
	if a.mediaType = mediaTypes[path.Ext(name)]; a.mediaType == "" {
		a.mediaType = mime.TypeByExtension(path.Ext(name))
	}
	if a.mediaType == "" {
		a.mediaType = "application/octet-stream"
	}
	return a
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	secure(h, "")
	h.Set("Content-Type", a.mediaType)
	h.Set("ETag", a.etag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if a.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.data
	if zipped := a.zip(); zipped != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the browser may leave at any time
	}
}

// zip packs the file when it is first wanted.
func (a *asset) zip() []byte {
	a.zipOnce.Do(func() {
		var buf bytes.Buffer
		z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
		if err != nil {
			return
		}
		if _, err := z.Write(a.data); err == nil && z.Close() == nil && buf.Len() < len(a.data)*9/10 {
			a.zipped = buf.Bytes()
		}
	})
	return a.zipped
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, param, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(param, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// nonceMark is where a page says the nonce that its style elements carry: the
// component kit makes them at run time.
const nonceMark = "WEIR_NONCE"

func (h *handler) servePage(w http.ResponseWriter) {
	nonce := rand.Text()
	head := w.Header()
	secure(head, nonce)
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Cache-Control", "no-store")
	_, _ = w.Write(bytes.ReplaceAll(h.index, []byte(nonceMark), []byte(nonce))) // as above; net/http drops the body of HEAD
}

// secure sets what a browser must not allow the pages.
func secure(h http.Header, nonce string) {
	style := "'self'"
	if nonce != "" {
		style += " 'nonce-" + nonce + "'"
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src "+style+
		"; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}
