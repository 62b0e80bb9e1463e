import Hummingbird
import Jobs
import Messaging

/// `/v1/batches`: ask for a batch over an uploaded file, look at it, and end it.
func addBatchRoutes(to router: HTTPRouter, _ core: ServiceCore, _ batches: BatchQueue) {
  router.post("/v1/batches") { request, _ in
    let pass = try core.gate.enter(
      declaredByteCount: request.headers[.contentLength].flatMap { Int($0) })
    let body = try await JSONBody.read(BatchCreation.self, request, limits: core.limits)
    withExtendedLifetime(pass) {}
    return Response.json(try await batches.create(body).json)
  }
  router.get("/v1/batches") { request, _ in
    try Response.json(
      Page(request, standard: core.limits.listedItems)
        .list(await batches.all, id: \.id, json: \.json))
  }
  router.get("/v1/batches/:id") { _, context in
    Response.json(try await batches.batch(context.parameters.require("id")).json)
  }
  router.post("/v1/batches/:id/cancel") { _, context in
    Response.json(try await batches.cancel(context.parameters.require("id")).json)
  }
}

/// The body of `POST /v1/batches`.
struct BatchCreation: Decodable, Sendable {
  private enum Key: String, CodingKey {
    case endpoint, metadata
    case inputFileID = "input_file_id"
    case completionWindow = "completion_window"
  }

  let inputFileID: String
  let endpoint: String
  let metadata: [String: String]?

  /// As OpenAI allows: so many pairs, and so long.
  private static let (pairCount, nameByteCount, valueByteCount) = (16, 64, 512)

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    inputFileID = try fields.decode(String.self, forKey: .inputFileID)
    endpoint = try fields.decode(String.self, forKey: .endpoint)
    metadata = try fields.decodeIfPresent([String: String].self, forKey: .metadata)
    guard endpoint == "/v1/chat/completions" else {
      throw APIError.invalid("endpoint must be /v1/chat/completions", parameter: "endpoint")
    }
    let window = try fields.decodeIfPresent(String.self, forKey: .completionWindow)
    guard window == nil || window == "24h" else {
      throw APIError.invalid("completion_window must be 24h", parameter: "completion_window")
    }
    let isMetadataShort = (metadata ?? [:]).allSatisfy {
      $0.key.utf8.count <= Self.nameByteCount && $0.value.utf8.count <= Self.valueByteCount
    }
    guard (metadata?.count ?? 0) <= Self.pairCount, isMetadataShort else {
      throw APIError.invalid(
        "metadata may have \(Self.pairCount) pairs of \(Self.nameByteCount) and "
          + "\(Self.valueByteCount) bytes", parameter: "metadata")
    }
  }
}
