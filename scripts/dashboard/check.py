"""What a person sees of a running cluster in Chromium. Run by scripts/dashboard/run."""

import base64
import json
import pathlib
import sys
import time

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from cluster import KEY, Cluster

demo = pathlib.Path(sys.argv[2]).resolve()
pictures = pathlib.Path(sys.argv[3])
expected = {
    line["custom_id"]: line["expected"]
    for line in map(json.loads, (demo / "expected.jsonl").read_text().splitlines())
}


def open_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # --no-sandbox: Chromium refuses to run as root with one; it sees this page only.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1280,1750"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    browser.set_page_load_timeout(60)
    browser.set_script_timeout(60)
    return browser


class Page:
    def __init__(self, browser, url):
        self.browser = browser
        # Signs in as a browser does (HTTP Basic, the key as password), then comes as a bookmark would.
        browser.get(url.replace("://", f"://palisade:{KEY}@") + "/")
        browser.get(url + "/")

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        """All at once: the page makes its cards anew every second."""
        return self.script("return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)", selector)

    def wait(self, condition, what):
        WebDriverWait(self.browser, 60, ignored_exceptions=(Exception,)).until(
            lambda _: condition(), f"waited in vain for {what}")

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def emulate(self, theme):
        self.browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": theme}]})

    def ask(self, picture, task, text=""):
        self.find("#picture").send_keys(str(demo / "images" / picture))
        Select(self.find("#task")).select_by_value(task)
        if text:
            self.find("#text").clear()
            self.find("#text").send_keys(text)
        self.wait(lambda: self.find("#view").get_attribute("data-name") == picture, "the picture")
        self.script("document.getElementById('answer').replaceChildren()")
        self.find("#ask").click()
        self.wait(lambda: self.find("#answer .text").text, "an answer")
        return self.find("#answer .text").text


def check_cluster(page):
    page.wait(lambda: page.find("#state").text == "ready", "the state")
    page.wait(lambda: page.texts(".stage"), "the stages")
    names = [text.split()[0] for text in page.texts(".stage h3")]
    assert names == ["vision", "shard-1", "shard-2"], names
    for text in page.texts(".stage"):
        for word in ("blocks", "busy", "bubble", "queue", "memory", "weights", "kernels"):
            assert word in text, f"{word} is not in {text}"
    assert len(page.all(".stages .link")) == 2
    page.wait(lambda: float(page.texts("#figures b")[0]) > 0, "images a second")
    page.wait(
        lambda: page.texts("#bottleneck")[0].startswith(page.texts(".stage.hot h3")[0].split()[0] + " sets the pace"),
        "the bottleneck's name")
    assert len(page.all("#charts svg")) == 4


def colours(page):
    """How many pixels of the timeline have each of the two phases' colours."""
    return page.script("""
        const canvas = document.getElementById('timeline');
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const style = getComputedStyle(document.documentElement);
        return ['prefill', 'decode'].map((name) => {
          const text = style.getPropertyValue('--' + name).trim();
          const wanted = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
          let count = 0;
          for (let at = 0; at < pixels.length; at += 4) {
            if (wanted.every((value, index) => pixels[at + index] === value)) count += 1;
          }
          return count;
        });""")


def check_timeline(page):
    page.wait(lambda: min(colours(page)) > 100, "bars of both phases")
    assert "percent" in page.find("#timeline").get_attribute("aria-label")
    page.find("#pause").click()
    assert page.find("#pause").get_attribute("aria-pressed") == "true"
    page.find("#pause").click()
    Select(page.find("#window")).select_by_value("10")
    # Decode steps are narrower than a pixel there, so only prefills have their pure colour.
    page.wait(lambda: colours(page)[0] > 100, "bars in a window of ten seconds")
    Select(page.find("#window")).select_by_value("3")


def check_trying(page):
    answer = page.ask("shapes-02.png", "caption")
    assert answer == expected["demo-002"], answer
    answer = page.ask("shapes-02.png", "count", "triangles")
    assert answer == expected["demo-003"], answer
    plain = page.script("return document.getElementById('view').toDataURL()")
    answer = page.ask("shapes-01.png", "detect", "green square")
    assert answer == "green square", answer
    assert [item.text.split(" [")[0] for item in page.all("#answer li")] == ["green square"]
    assert page.script("return document.getElementById('view').toDataURL()") != plain
    # The box is drawn where the answer says: within a pixel of the picture its edges have its colour.
    corners = json.loads(page.find("#answer li span").text)
    width = page.script("""
        return createImageBitmap(document.getElementById('picture').files[0]).then((image) => image.width)""")
    edges = page.script("""
        const canvas = document.getElementById('view');
        const scale = canvas.width / arguments[1];
        const [x1, y1, x2, y2] = arguments[0].map((corner) => corner * scale);
        const strip = 2 * scale;
        return [x1, x2].map((x) => {
          const pixels = canvas.getContext('2d').getImageData(x - scale, (y1 + y2) / 2, strip, 1).data;
          return Array.from({ length: strip }, (_, at) => [...pixels.slice(4 * at, 4 * at + 3)].join());
        });""", corners, width)
    for edge in edges:
        assert "230,25,75" in edge, edge


def check_masks(page):
    """The demo model knows no masks: kept to the form, it says some all the same."""
    Select(page.find("#task")).select_by_value("segment")
    page.find("#constrain").click()
    page.ask("shapes-01.png", "segment", "green square")
    boxes = page.script("""
        return [...document.querySelectorAll('#answer li')].map((one) => one.innerText)""")
    assert boxes and "<seg" in page.find("#answer code").text, page.find("#answer").text
    # What a mask covers has its colour mixed in, at 120 of 255: something in the box that is not the box's edge.
    changed = page.script("""
        const canvas = document.getElementById('view');
        const drawn = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const plain = document.createElement('canvas');
        [plain.width, plain.height] = [canvas.width, canvas.height];
        return createImageBitmap(document.getElementById('picture').files[0]).then((image) => {
          const context = plain.getContext('2d');
          context.drawImage(image, 0, 0, plain.width, plain.height);
          const before = context.getImageData(0, 0, plain.width, plain.height).data;
          const tint = [230, 25, 75];
          let count = 0;
          for (let at = 0; at < drawn.length; at += 4) {
            const mixed = tint.every((value, index) => {
              const expected = before[at + index] + (value - before[at + index]) * 120 / 255;
              return Math.abs(drawn[at + index] - expected) <= 2;
            });
            if (mixed) count += 1;
          }
          return count;
        });""")
    assert changed > 100, f"{changed} pixels of masks"
    page.browser.save_screenshot(str(pictures / "masks.png"))
    page.find("#constrain").click()


def check_batches(page):
    """A batch that another client begins is in the list, with its progress, until it is done."""
    picture = base64.b64encode((demo / "images" / "shapes-02.png").read_bytes()).decode()
    lines = "".join(
        json.dumps({"custom_id": f"b{index}", "method": "POST", "url": "/v1/chat/completions", "body": {
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "caption en"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]}]}}) + "\n"
        for index in range(400))
    batch = page.script("""
        const form = new FormData();
        form.append('purpose', 'batch');
        form.append('file', new File([arguments[0]], 'in.jsonl'));
        return fetch('/v1/files', { method: 'POST', body: form }).then((response) => response.json())
          .then((file) => fetch('/v1/batches', {
            method: 'POST', headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({
              input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h',
            }),
          })).then((response) => response.json());""", lines)
    page.wait(lambda: any(batch["id"] in text for text in page.texts("#batch-list li")), "the batch in the list")
    page.wait(lambda: page.all("#batch-list progress"), "its progress")
    page.wait(lambda: any("400" in text and "completed" in text for text in page.texts("#batch-list li")),
              "the batch's end")


def check_videos(page):
    """A film that another client uploads and asks about: its state, its frames with boxes, its answers, until its end."""
    film = base64.b64encode((demo / "video" / "shapes.mp4").read_bytes()).decode()
    video = page.script("""
        const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
        const form = new FormData();
        form.append('purpose', 'video');
        form.append('file', new File([bytes], 'shapes.mp4'));
        return fetch('/v1/files', { method: 'POST', body: form }).then((response) => response.json())
          .then((file) => fetch('/v1/video/streams', {
            method: 'POST', headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ file: file.id, prompt: 'detect purple star', every: '39', priority: 'interactive' }),
          })).then((response) => response.json());""", film)
    card = f"#video-list li[data-id='{video['id']}']"
    page.wait(lambda: "ended" in page.texts(f"{card} .pill"), "the video's end")
    page.wait(lambda: "answered" in page.texts(card)[0] and "detect purple star" in page.texts(card)[0], "its figures")
    # Twice the film's 224, so that labels can be read.
    page.wait(lambda: page.script("return document.querySelector(arguments[0]).naturalWidth", f"{card} img") == 448,
              "its latest frame")
    check_video_boxes(page, video["id"], f"{card} img")
    for theme in ("light", "dark"):
        page.emulate(theme)
        page.script("document.getElementById('videos').scrollIntoView()")
        page.browser.save_screenshot(str(pictures / f"videos-{theme}.png"))
    page.emulate("light")


def check_video_boxes(page, video, image):
    """The last record says where the star is, near where it was drawn; the shown frame has lines of one colour there."""
    record = page.script(
        "return fetch('/v1/video/streams/' + arguments[0]).then((response) => response.json())", video)["last"]
    truth = json.loads((demo / "video" / "shapes.jsonl").read_text().splitlines()[record["frame"]])["items"][0]
    assert truth["kind"] == "star" and record["boxes"], record
    corners = record["boxes"][0]["xyxy"]
    assert all(abs(found - real) < 20 for found, real in zip(corners, truth["xyxy"])), (corners, truth)
    # In a corner of the box there is no star: what is coloured there is the line. Along each edge, the most coloured pixel.
    edges = page.script("""
        const image = document.querySelector(arguments[0]);
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        const [x1, y1, x2, y2] = arguments[1].map((corner) => Math.round(2 * corner));
        const most = (x, y, dx, dy) => {
          let best = [0, 0, 0];
          for (let step = -5; step <= 5; step += 1) {
            const pixel = [...context.getImageData(x + step * dx, y + step * dy, 1, 1).data].slice(0, 3);
            if (Math.max(...pixel) - Math.min(...pixel) > Math.max(...best) - Math.min(...best)) best = pixel;
          }
          return best;
        };
        return [most(x1, y2 - 10, 1, 0), most(x2, y2 - 10, 1, 0), most(x2 - 10, y2, 0, 1), most(x1 + 10, y2, 0, 1)];""",
        image, corners)
    for edge in edges:
        assert max(edge) - min(edge) > 80, edges
        assert all(abs(one - other) < 60 for one, other in zip(edge, edges[0])), edges


def check_key(page):
    """A key that the server refuses is asked for again by the page itself."""
    for key in ("sk-wrong-0123456789012345", KEY):
        if not page.find("#key-dialog").is_displayed():
            page.find("#key-button").click()
        page.wait(lambda: page.find("#key-dialog").is_displayed(), "the dialog")
        page.find("#key").clear()
        page.find("#key").send_keys(key, Keys.ENTER)
        if key != KEY:
            # It may come back before anybody sees that it was gone.
            page.wait(lambda: page.script("return sessionStorage.getItem('palisade-key')") == key, "the key's use")
            page.wait(lambda: page.find("#key-dialog").is_displayed(), "the dialog again")
    page.wait(lambda: not page.find("#key-dialog").is_displayed(), "the dialog's end")
    assert page.ask("shapes-02.png", "caption") == expected["demo-002"]


def check_access(page):
    unnamed = page.script("""
        return [...document.querySelectorAll('input, select, button, canvas, progress, a, dialog')]
          .filter((one) => !(one.labels?.length || one.textContent.trim() || one.getAttribute('aria-label')
            || one.getAttribute('aria-labelledby'))).map((one) => one.outerHTML);""")
    assert unnamed == [], unnamed
    page.browser.refresh()
    page.wait(lambda: page.find("#state").text == "ready", "the page again")
    ActionChains(page.browser).send_keys(Keys.TAB).perform()
    first = page.script("return document.activeElement.className")
    assert first == "skip", first
    page.find("#key-button").send_keys(Keys.ENTER)
    page.wait(lambda: page.find("#key-dialog").is_displayed(), "the dialog")
    page.find("#key").send_keys(Keys.ESCAPE)
    page.wait(lambda: not page.find("#key-dialog").is_displayed(), "the dialog's end")


def check_contrast(page):
    """WCAG AA: 4.5 to 1 for text."""
    ratios = page.script("""
        const style = getComputedStyle(document.documentElement);
        const light = (name) => {
          const text = style.getPropertyValue('--' + name).trim();
          const [r, g, b] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) / 255)
            .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        return [['ink', 'surface'], ['quiet', 'surface'], ['quiet', 'ground'], ['quiet', 'sunken'], ['hot', 'surface'],
          ['hot', 'hot-ground'], ['good', 'good-ground'], ['bad', 'bad-ground'], ['on-accent', 'accent']].map(([text, ground]) => {
          const [low, high] = [light(text), light(ground)].sort((a, b) => a - b);
          return [text, ground, (high + 0.05) / (low + 0.05)];
        });""")
    for text, ground, ratio in ratios:
        assert ratio >= 4.5, f"{text} on {ground}: {ratio:.2f}"


def check_themes(page):
    grounds = {}
    for theme in ("light", "dark"):
        page.emulate(theme)
        check_contrast(page)
        grounds[theme] = page.script("return getComputedStyle(document.body).backgroundColor")
        # Something to see in the box, too.
        page.ask("shapes-01.png", "detect", "green square")
        page.script("window.scrollTo(0, 0)")
        time.sleep(2)  # so that bars of the new colours fill the picture; nothing is asserted of it
        page.browser.save_screenshot(str(pictures / f"{theme}.png"))
        assert min(colours(page)) > 100
    assert grounds["light"] != grounds["dark"]
    # The button overrules the system, and remembers.
    page.find("#theme").click()
    assert page.find("#theme").text == "Theme: light"
    assert page.script("return getComputedStyle(document.body).backgroundColor") == grounds["light"]
    page.browser.refresh()
    page.wait(lambda: page.find("#state").text == "ready", "the page again")
    assert page.find("#theme").text == "Theme: light"


def main():
    pictures.mkdir(parents=True, exist_ok=True)
    # Random weights: what counts is that masks are drawn where they are said to be.
    masks = demo.parents[1] / "Tests/PaliGemmaTests/Fixtures/mask-decoder/small.npz"
    cluster = Cluster(sys.argv[1], demo, "--mask-decoder", str(masks))
    browser = None
    try:
        lines = "".join(
            json.dumps({"custom_id": f"{index}", "image": str(demo / "images" / f"shapes-{name}"), "prompt": prompt}) + "\n"
            for index in range(20_000)
            for name, prompt in [(("02.png", "08.jpg")[index % 2], ("caption en", "detect red square")[index // 2 % 2])])
        (cluster.path / "in.jsonl").write_text(lines)
        # Work to look at; ended with the cluster.
        cluster.run("batch", str(cluster.path / "in.jsonl"), "--output", str(cluster.path / "out.jsonl"),
                    "--coordinator", (cluster.path / "endpoint").read_text().strip())
        browser = open_browser()
        page = Page(browser, cluster.url)
        checks = (check_cluster, check_timeline, check_trying, check_masks,
                  check_batches, check_videos, check_key, check_access, check_themes)
        for check in checks:
            check(page)
            print(f"dashboard: {check.__name__} passed", flush=True)
        # The first visit without the key is refused, as it must be.
        complaints = [entry for entry in browser.get_log("browser")
                      if entry["level"] == "SEVERE" and "401" not in entry["message"]]
        assert complaints == [], complaints
    finally:
        if browser:
            browser.quit()
        cluster.close()
    print("dashboard: all passed")


main()
