import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Messaging
import NIOPosix

/// `/v1/files`: send, list, describe, fetch and delete the files of batches.
func addFileRoutes(to router: HTTPRouter, _ core: ServiceCore, _ store: FileStore) {
  router.post("/v1/files") { request, _ in
    Response.json(try await FileUpload(limits: core.limits, store: store).receive(request).json)
  }
  router.get("/v1/files") { request, _ in
    let purpose = request.uri.queryParameters["purpose"].map(String.init)
    let files = await store.all.filter { purpose == nil || $0.purpose == purpose }
    return try Response.json(
      Page(request, standard: core.limits.listedItems).list(files, id: \.id, json: \.json))
  }
  router.get("/v1/files/:id") { _, context in
    Response.json(try await store.file(context.parameters.require("id")).json)
  }
  router.get("/v1/files/:id/content") { _, context in
    let file = try await store.file(context.parameters.require("id"))
    let body = try await FileIO().loadFile(path: store.path(file.id), context: context)
    return Response(status: .ok, headers: [.contentType: "application/octet-stream"], body: body)
  }
  router.delete("/v1/files/:id") { _, context in
    let id = try context.parameters.require("id")
    if let batch = await core.batches?.usingFile(id) {
      throw APIError(
        .conflict, code: "file_in_use", message: "\(batch) works on this file; cancel it first")
    }
    try await store.delete(id)
    return Response.json(
      .object(["id": .string(id), "object": .string("file"), "deleted": .bool(true)]))
  }
}

/// Which part of a list a client asks for: `limit`, `after` and `order`, as OpenAI's lists.
struct Page {
  private let limit: Int
  private let after: String?
  private let isAscending: Bool

  init(_ request: Request, standard: Int) throws(APIError) {
    let parameters = request.uri.queryParameters
    after = parameters["after"].map(String.init)
    isAscending = parameters["order"] == "asc"
    guard let text = parameters["limit"] else {
      limit = standard
      return
    }
    guard let number = Int(text), (1...10_000).contains(number) else {
      throw .invalid("limit must be 1 to 10000", parameter: "limit")
    }
    limit = number
  }

  /// The part of `items`, which come newest first.
  func list<Item>(
    _ items: [Item], id: (Item) -> String, json: (Item) -> JSONText
  ) -> JSONText {
    var items = isAscending ? items.reversed() : items
    if let after, let index = items.firstIndex(where: { id($0) == after }) {
      items = Array(items[(index + 1)...])
    }
    let page = items.prefix(limit)
    return .object([
      "object": .string("list"), "data": .array(page.map(json)),
      "first_id": page.first.map { .string(id($0)) } ?? .null,
      "last_id": page.last.map { .string(id($0)) } ?? .null,
      "has_more": .bool(page.count < items.count),
    ])
  }
}

/// Receives one uploaded file, to disk as it comes.
struct FileUpload {
  let limits: HTTPLimits
  let store: FileStore

  /// Bytes written to disk at once.
  private static let chunkByteCount = 1 << 20
  /// Bytes of a form's other fields; `purpose` has a few.
  private static let fieldByteCount = 1 << 10

  func receive(_ request: Request) async throws -> StoredFile {
    guard let boundary = MultipartParser.boundary(contentType: request.headers[.contentType])
    else {
      throw APIError.invalid("send the file as multipart/form-data with fields file and purpose")
    }
    let declared = request.headers[.contentLength].flatMap { Int($0) }
    // The form around the file takes a little.
    guard (declared ?? 0) <= limits.fileByteCount + (64 << 10) else { throw tooLarge() }
    let reserved = declared ?? limits.fileByteCount
    let id = try await store.begin(byteCount: reserved)
    do {
      let form = try await receive(request, boundary: boundary, to: store.path(id))
      guard let name = form.fileName else {
        throw APIError.invalid("the form has no file", parameter: "file")
      }
      guard ["batch", "video"].contains(form.purpose) else {
        throw APIError.invalid("purpose must be \"batch\" or \"video\"", parameter: "purpose")
      }
      return try await store.add(id, fileName: name, purpose: form.purpose, reserved: reserved)
    } catch {
      await store.abandon(id, reserved: reserved)
      throw error
    }
  }

  private struct Form {
    var fileName: String?
    var purpose = ""
  }

  private func receive(
    _ request: Request, boundary: String, to path: String
  ) async throws -> Form {
    var parser = MultipartParser(boundary: boundary)
    var form = Form()
    var field = ""
    var waiting: [UInt8] = []
    var byteCount = 0
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw DurableFile.failure("cannot write", path) }
    defer { close(descriptor) }
    for try await chunk in request.body {
      for event in try parser.push(chunk.readableBytesView) {
        switch event {
        case .part(let name, let fileName):
          field = name
          guard name == "file" else { continue }
          guard form.fileName == nil else { throw APIError.invalid("send one file at a time") }
          form.fileName = fileName ?? "file"
        case .bytes(let bytes) where field == "file":
          byteCount += bytes.count
          guard byteCount <= limits.fileByteCount else { throw tooLarge() }
          waiting += bytes
        case .bytes(let bytes) where field == "purpose":
          form.purpose += String(decoding: bytes, as: UTF8.self)
          guard form.purpose.utf8.count <= Self.fieldByteCount else {
            throw APIError.invalid("purpose is too long", parameter: "purpose")
          }
        case .bytes, .partEnd: break
        }
      }
      if waiting.count >= Self.chunkByteCount {
        try await write(waiting, to: descriptor, path)
        waiting.removeAll(keepingCapacity: true)
      }
    }
    try parser.finish()
    try await write(waiting, to: descriptor, path, isLast: true)
    return form
  }

  /// Disks may be slow: a thread of NIO's pool waits for them.
  private func write(
    _ bytes: [UInt8], to descriptor: Int32, _ path: String, isLast: Bool = false
  ) async throws {
    try await NIOThreadPool.singleton.runIfActive {
      guard DurableFile.writeAll(bytes, to: descriptor), !isLast || fsync(descriptor) == 0 else {
        throw DurableFile.failure("cannot write", path)
      }
    }
  }

  private func tooLarge() -> APIError {
    APIError(
      .contentTooLarge, code: "file_too_large",
      message: "a file may have \(limits.fileByteCount) bytes; divide the batch", parameter: "file")
  }
}
