"""What OpenAI's own client gets from a running cluster. Run by scripts/openai-client/run."""

import base64
import io
import json
import pathlib
import sys
import threading
import time
import urllib.request

import openai

from cluster import KEY, Cluster

demo = pathlib.Path(sys.argv[2])
cluster = Cluster(sys.argv[1], demo)
client = openai.OpenAI(base_url=cluster.url + "/v1", api_key=KEY, max_retries=0, timeout=60)


def uri(name):
    kind = "png" if name.endswith(".png") else "jpeg"
    data = base64.b64encode((demo / "images" / name).read_bytes()).decode()
    return f"data:image/{kind};base64,{data}"


def messages(prompt, *images):
    parts = [{"type": "image_url", "image_url": {"url": uri(name)}} for name in images]
    return [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": [{"type": "text", "text": prompt}, *parts]},
    ]


def ask(prompt, *images, **fields):
    return client.chat.completions.create(
        model="paligemma", messages=messages(prompt, *images), **fields)


def refused(kind, work):
    try:
        work()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def models():
    assert [model.id for model in client.models.list()] == ["paligemma"]
    assert client.models.retrieve("paligemma").owned_by == "palisade"
    refused(openai.NotFoundError, lambda: client.models.retrieve("gpt-4o"))


def chat():
    caption = ask("caption en", "shapes-02.png")
    assert caption.choices[0].message.content == (
        "a red square, an orange triangle and a yellow triangle"), caption
    assert caption.choices[0].finish_reason == "stop"
    assert caption.usage.prompt_tokens > 64
    assert caption.usage.total_tokens == caption.usage.prompt_tokens + caption.usage.completion_tokens
    assert ask("count triangles", "shapes-02.png").choices[0].message.content == "2"
    assert ask("ocr", "digits-03.jpg").choices[0].message.content == "8"
    # The task builds the prompt.
    question = ask("what color is the circle?", "shapes-04.jpg", extra_body={"task": "vqa"})
    assert question.choices[0].message.content == "blue"
    boxes = ask("green square", "shapes-01.png", extra_body={"task": "detect", "constrain": True})
    choice = boxes.choices[0]
    assert choice.message.content.startswith("<loc0331><loc0240>"), choice
    box = choice.model_extra["boxes"][0]
    assert box["label"] == "green square" and len(box["xyxy"]) == 4
    # Two pictures are one request.
    two = ask("caption en", "shapes-02.png", "shapes-01.png", max_tokens=4)
    assert two.usage.prompt_tokens > caption.usage.prompt_tokens + 60


def streaming():
    whole = ask("caption en", "shapes-02.png").choices[0].message.content
    chunks = list(ask(
        "caption en", "shapes-02.png", stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole, text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len([c for c in chunks if c.choices and c.choices[0].delta.content]) > 3
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 3
    with client.chat.completions.stream(
            model="paligemma", messages=messages("caption en", "shapes-02.png")) as stream:
        assert stream.get_final_completion().choices[0].message.content == whole


def sampling():
    answer = ask("caption en", "shapes-02.png", logprobs=True, top_logprobs=3).choices[0]
    tokens = answer.logprobs.content
    assert "".join(token.token for token in tokens) == answer.message.content
    assert all(bytes(token.bytes).decode() == token.token for token in tokens)
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in tokens)
    assert tokens[0].top_logprobs[0].token == tokens[0].token
    several = ask("caption en", "shapes-02.png", n=3)
    assert len({choice.message.content for choice in several.choices}) == 1  # greedy
    drawn = [
        [c.message.content for c in ask(
            "caption en", "shapes-02.png", n=4, temperature=3, seed=5, max_tokens=12).choices]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1] and len(set(drawn[0])) > 1, drawn
    stopped = ask("caption en", "shapes-02.png", stop=[" triangle", "nothing"]).choices[0]
    assert stopped.message.content == "a red square, an orange", stopped
    assert stopped.finish_reason == "stop"
    cut = ask("caption en", "shapes-02.png", max_completion_tokens=2).choices[0]
    assert cut.finish_reason == "length"


def completions():
    answer = client.completions.create(
        model="paligemma", prompt=["count triangles", "caption en"], logprobs=2,
        extra_body={"image": uri("shapes-02.png")})
    assert answer.choices[0].text == "2"
    assert answer.choices[1].text.startswith("a red square")
    assert "".join(answer.choices[1].logprobs.tokens) == answer.choices[1].text


def errors():
    stranger = openai.OpenAI(base_url=client.base_url, api_key="sk-wrong", max_retries=0)
    refused(openai.AuthenticationError, stranger.models.list)
    error = refused(openai.NotFoundError, lambda: client.chat.completions.create(
        model="gpt-4o", messages=messages("ocr", "shapes-01.png")))
    assert error.code == "model_not_found" and error.param == "model"
    error = refused(openai.BadRequestError, lambda: ask("caption en"))
    assert error.code == "no_image", error
    error = refused(openai.BadRequestError, lambda: client.chat.completions.create(
        model="paligemma", messages=[{"role": "user", "content": [{"type": "image_url"}]}]))
    assert error.param == "messages[0].content[0].image_url", error
    refused(openai.BadRequestError, lambda: ask("ocr", "shapes-01.png", max_tokens=0))
    refused(openai.BadRequestError, lambda: ask("ocr", "shapes-01.png", max_tokens=5000))
    # On a fast machine an answer may be there before the alarm clock has woken; not twenty times.
    error = refused(openai.APIStatusError, lambda: [ask(
        "caption en", "shapes-02.png", extra_body={"timeout": 0.001}) for _ in range(20)])
    assert error.status_code == 504 and error.code == "deadline_exceeded", error


def metric(name):
    request = urllib.request.Request(
        cluster.url + "/metrics", headers={"Authorization": "Bearer " + KEY})
    with urllib.request.urlopen(request) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def idle():
    for _ in range(500):
        if metric("palisade_http_requests_under_way ") == 0:
            return
        time.sleep(0.02)
    raise AssertionError("something is still under way")


def cancel():
    # A closed connection ends the answer.
    before = metric('palisade_answers_total{outcome="cancelled"}')
    stream = ask("caption en", "shapes-02.png", stream=True, temperature=9, seed=1, n=8)
    next(iter(stream))
    stream.close()
    idle()
    assert metric('palisade_answers_total{outcome="cancelled"}') > before
    # So does DELETE, by the client's own name for its request.
    outcome = []

    def wait():
        outcome.append(refused(openai.APIStatusError, lambda: ask(
            "caption en", "shapes-02.png", n=16, temperature=9, seed=1, max_tokens=400,
            extra_headers={"X-Client-Request-Id": "mine"})))

    thread = threading.Thread(target=wait)
    thread.start()
    for _ in range(500):
        try:
            client.delete("/requests/mine", cast_to=object)
            break
        except openai.NotFoundError:
            time.sleep(0.01)
    thread.join()
    assert outcome and outcome[0].status_code == 499, outcome
    idle()


def lines(count):
    pictures = ["shapes-02.png", "shapes-01.png", "digits-03.jpg"]
    for index in range(count):
        yield json.dumps({
            "custom_id": f"r{index}", "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "paligemma", "max_tokens": 20,
                     "messages": messages("caption en", pictures[index % 3])}})
    yield json.dumps({
        "custom_id": "path", "method": "POST", "url": "/v1/chat/completions",
        "body": {"messages": [{"role": "user", "content": [
            {"type": "text", "text": "ocr"},
            {"type": "image_url", "image_url": {"url": str(demo / "images/shapes-02.png")}}]}]}})


def start_batch(count):
    data = io.BytesIO("\n".join(lines(count)).encode())
    uploaded = client.files.create(file=("in.jsonl", data), purpose="batch")
    assert uploaded.bytes == len(data.getvalue()) and uploaded.filename == "in.jsonl"
    return uploaded, client.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h",
        metadata={"night": "friday"})


def wait_for(batch, *states):
    for _ in range(3000):
        batch = client.batches.retrieve(batch.id)
        if batch.status in states:
            return batch
        assert batch.status in ("validating", "in_progress", "finalizing", "cancelling"), batch
        time.sleep(0.02)
    raise AssertionError(f"still {batch.status}")


def check_results(batch, count):
    assert batch.metadata == {"night": "friday"}
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (count + 1, count, 1), counts
    output = client.files.content(batch.output_file_id).text.splitlines()
    results = {line["custom_id"]: line for line in map(json.loads, output)}
    assert sorted(results) == sorted(f"r{index}" for index in range(count)) and len(output) == count
    body = results["r0"]["response"]["body"]
    assert body["choices"][0]["message"]["content"].startswith("a red square")
    failed = [json.loads(line) for line in
              client.files.content(batch.error_file_id).text.splitlines()]
    # Files of the server's machine are not read for clients.
    assert [(line["custom_id"], line["error"]["code"]) for line in failed] == [
        ("path", "local_image")], failed


def batches():
    uploaded, batch = start_batch(12)
    check_results(wait_for(batch, "completed"), 12)
    assert batch.id in [item.id for item in client.batches.list(limit=5)]
    assert uploaded.id in [item.id for item in client.files.list(purpose="batch")]
    assert client.files.delete(uploaded.id).deleted
    refused(openai.NotFoundError, lambda: client.files.retrieve(uploaded.id))
    refused(openai.NotFoundError, lambda: client.batches.retrieve("batch_none"))
    _, batch = start_batch(3000)
    client.batches.cancel(batch.id)
    assert wait_for(batch, "cancelled").cancelled_at
    refused(openai.ConflictError, lambda: client.batches.cancel(batch.id))


def restart():
    """A coordinator killed in the middle of a batch goes on with it."""
    global client
    _, batch = start_batch(400)
    while client.batches.retrieve(batch.id).request_counts.completed < 20:
        time.sleep(0.02)
    cluster.kill_coordinator()
    cluster.start()
    client = openai.OpenAI(base_url=cluster.url + "/v1", api_key=KEY, max_retries=0)
    check_results(wait_for(batch, "completed"), 400)


try:
    for check in (models, chat, streaming, sampling, completions, errors, cancel, batches, restart):
        start = time.monotonic()
        check()
        print(f"openai-client: {check.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
finally:
    cluster.close()
print("openai-client: all passed")
