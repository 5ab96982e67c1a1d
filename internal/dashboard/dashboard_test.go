package dashboard

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var build = fstest.MapFS{
	"index.html":        {Data: []byte(`<meta name="csp-nonce" content="WEIR_NONCE"><script type="module" src="/assets/a-1.js"></script>`)},
	"assets/a-1.js":     {Data: []byte(strings.Repeat("console.log(1);", 100))},
	"assets/f-1.woff2":  {Data: []byte{1, 2, 3}},
	"favicon.svg":       {Data: []byte("<svg/>")},
	"assets/short-1.js": {Data: []byte("1")},
}

func equal[V comparable](t *testing.T, want, got V, about ...string) {
	t.Helper()
	if want != got {
		t.Fatalf("%v: got %v, want %v", about, got, want)
	}
}

func holds(t *testing.T, ok bool, about ...string) {
	t.Helper()
	if !ok {
		t.Fatal(about)
	}
}

func ask(h http.Handler, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	equal(t, nil, err)
	return string(b)
}

func TestPathsOfTheApplicationGetThePage(t *testing.T) {
	h := newHandler(build)
	for _, p := range []string{"/", "/setup", "/c/orders", "/c/orders/operations/op-1", "/index", "/apiary", "/../x"} {
		r := ask(h, "GET", p)
		equal(t, 200, r.StatusCode, p)
		equal(t, "no-store", r.Header.Get("Cache-Control"), p)
		holds(t, strings.Contains(body(t, r), "/assets/a-1.js"), p)
	}
	for _, p := range []string{"/assets/gone-2.js", "/api/v1/nothing", "/api", "/robots.txt", "/assets/"} {
		equal(t, 404, ask(h, "GET", p).StatusCode, p)
	}
	equal(t, 405, ask(h, "POST", "/").StatusCode)
}

func TestNoInlineScriptMayRun(t *testing.T) {
	h := newHandler(build)
	nonces := map[string]bool{}
	for range 2 {
		r := ask(h, "GET", "/")
		csp := r.Header.Get("Content-Security-Policy")
		holds(t, strings.Contains(csp, "default-src 'none'; script-src 'self';"), csp)
		holds(t, !strings.Contains(csp, "unsafe"), csp)
		holds(t, strings.Contains(csp, "frame-ancestors 'none'"), csp)
		nonce := regexp.MustCompile(`style-src 'self' 'nonce-([A-Z0-9]{20,})'`).FindStringSubmatch(csp)
		holds(t, nonce != nil, csp)
		holds(t, strings.Contains(body(t, r), `content="`+nonce[1]+`"`), "the page says another nonce")
		nonces[nonce[1]] = true
	}
	equal(t, 2, len(nonces), "a nonce that is used twice protects nothing")
}

func TestFilesAreCachedAndPacked(t *testing.T) {
	h := newHandler(build)
	r := ask(h, "GET", "/assets/a-1.js", "Accept-Encoding", "br, gzip")
	equal(t, "public, max-age=31536000, immutable", r.Header.Get("Cache-Control"))
	equal(t, "text/javascript; charset=utf-8", r.Header.Get("Content-Type"))
	equal(t, "gzip", r.Header.Get("Content-Encoding"))
	z, err := gzip.NewReader(r.Body)
	equal(t, nil, err)
	plain, err := io.ReadAll(z)
	equal(t, nil, err)
	equal(t, string(build["assets/a-1.js"].Data), string(plain))

	for _, accept := range []string{"", "br", "gzip;q=0"} {
		r = ask(h, "GET", "/assets/a-1.js", "Accept-Encoding", accept)
		equal(t, "", r.Header.Get("Content-Encoding"), accept)
		equal(t, string(build["assets/a-1.js"].Data), body(t, r), accept)
	}
	equal(t, "", ask(h, "GET", "/assets/short-1.js", "Accept-Encoding", "gzip").Header.Get("Content-Encoding"))
	equal(t, 304, ask(h, "GET", "/assets/a-1.js", "If-None-Match", r.Header.Get("ETag")).StatusCode)
	equal(t, "no-cache", ask(h, "GET", "/favicon.svg").Header.Get("Cache-Control"))
	equal(t, "font/woff2", ask(h, "GET", "/assets/f-1.woff2").Header.Get("Content-Type"))
	equal(t, "", body(t, ask(h, "HEAD", "/favicon.svg")))
}

// TestWhatIsCarried looks at what this very build has inside.
func TestWhatIsCarried(t *testing.T) {
	r := ask(Handler(), "GET", "/")
	equal(t, 200, r.StatusCode)
	page := body(t, r)
	holds(t, !strings.Contains(page, nonceMark), page)
	holds(t, !regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(page), "inline scripts do not run under the policy")
	if !Built() {
		holds(t, strings.Contains(page, "make build"), page)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(m[1], "/api/") {
			continue
		}
		equal(t, 200, ask(Handler(), "GET", m[1]).StatusCode, m[1])
	}
}
