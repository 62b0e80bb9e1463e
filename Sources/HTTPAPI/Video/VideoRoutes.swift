import HTTPTypes
import Hummingbird
import Imaging
import Jobs
import Messaging
import NIOCore
import VideoFrames

/// `/v1/video/streams`: begin, list, describe, follow, look at and end videos.
func addVideoRoutes(to router: HTTPRouter, _ core: ServiceCore) {
  let streams = core.videos
  router.post("/v1/video/streams") { request, _ in
    let body = try await JSONBody.read(VideoRequest.self, request, limits: core.limits)
    return Response.json(try await core.beginVideo(body).json)
  }
  router.get("/v1/video/streams") { request, _ in
    try Response.json(
      Page(request, standard: core.limits.listedItems)
        .list(await streams.all, id: \.id, json: \.json))
  }
  router.get("/v1/video/streams/:id") { _, context in
    Response.json(try await streams.stream(context.parameters.require("id")).json)
  }
  router.get("/v1/video/streams/:id/events") { request, context in
    let stream = try await streams.stream(context.parameters.require("id"))
    return videoEvents(stream, after: try request.lastEventID)
  }
  router.get("/v1/video/streams/:id/frame.jpg") { _, context in
    let stream = try await streams.stream(context.parameters.require("id"))
    guard let bytes = try stream.latestPicture() else {
      throw APIError.notFound("no frame of this video has an answer yet")
    }
    return Response(
      status: .ok, headers: [.contentType: "image/jpeg", .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }
  router.delete("/v1/video/streams/:id") { _, context in
    let id = try context.parameters.require("id")
    try await streams.delete(id)
    return Response.json(
      .object(["id": .string(id), "object": .string("video.stream"), "deleted": .bool(true)]))
  }
}

extension ServiceCore {
  /// Begins a video, of a source that is allowed.
  func beginVideo(_ request: VideoRequest) async throws -> VideoStream {
    guard (request.maximumTokens ?? 1) <= limits.answerTokenCount else {
      throw APIError.invalid(
        "max_tokens must be at most \(limits.answerTokenCount)", parameter: "max_tokens")
    }
    let source: VideoSource
    if let id = request.file {
      guard let files else {
        throw APIError.invalid("this server keeps no files", parameter: "file")
      }
      let file = try await files.file(id)
      do {
        source = try VideoSource(files.path(file.id), allowed: [.file]).named(file.fileName)
      } catch {
        throw APIError.invalid("\(error.cause); \(error.remedy)", parameter: "file")
      }
    } else {
      source = try configuration.videoSources.source(request.source ?? "")
    }
    var options = request.options(for: source, defaultTokens: limits.defaultAnswerTokenCount)
    options.keepsPictures = true
    options.pictureSide = await backend.status().pictureSide
    options.feed.imageLimits = ImageLimits(
      pixelCount: limits.imagePixelCount, byteCount: JobLimits.requestImageByteCount)
    let service = backend.service
    let prepared = options
    return try await videos.begin { () throws(VideoError) in
      try VideoSession(source, options: prepared, service: service)
    }
  }
}

extension Request {
  /// The last event that a client has, from its header or, for pages, from `?after=`.
  fileprivate var lastEventID: Int {
    get throws {
      let text =
        headers[HTTPField.Name("Last-Event-ID") ?? .ifMatch]
        ?? uri.queryParameters["after"].map(String.init)
      guard let text else { return 0 }
      guard let id = Int(text), id >= 0 else {
        throw APIError.invalid("Last-Event-ID must be the id of an event")
      }
      return id
    }
  }
}

/// Follows a video as server-sent events: `record` and `state`, `gap` when events were forgotten before they could be
/// sent, and `end` when nothing more can come.
private func videoEvents(_ stream: VideoStream, after id: Int) -> Response {
  Response(
    status: .ok,
    headers: [
      .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache",
      .accelBuffering: "no",
    ],
    body: ResponseBody { writer in
      var last = id
      var lastWrite = ContinuousClock.now
      while true {
        let (events, missed, isOver) = stream.events(after: last)
        var buffer = ByteBuffer()
        if missed > 0 {
          buffer.writeString("event: gap\ndata: {\"missed\":\(missed)}\n\n")
          last += missed
        }
        for event in events {
          buffer.writeString("id: \(event.id)\nevent: \(event.name)\ndata: \(event.json.line)\n\n")
          last = event.id
        }
        if isOver { buffer.writeString("event: end\ndata: {}\n\n") }
        // Something now and then, so that proxies and a closed connection show.
        if buffer.readableBytes == 0, ContinuousClock.now - lastWrite > .seconds(10) {
          buffer.writeString(": \n\n")
        }
        if buffer.readableBytes > 0 {
          try await writer.write(buffer)
          lastWrite = .now
        }
        if isOver { break }
        try await Task.sleep(for: .milliseconds(50))
      }
      try await writer.finish(nil)
    })
}
