import Foundation
import Hummingbird
import Jobs

/// `GET /v1/models` and `/v1/models/{id}`: the one model that is served.
func addModelRoutes(to router: HTTPRouter, _ core: ServiceCore) {
  let created = Int(Date().timeIntervalSince1970)
  let model = JSONText.object([
    "id": .string(core.backend.model), "object": .string("model"), "created": .integer(created),
    "owned_by": .string("palisade"),
  ])
  router.get("/v1/models") { _, _ in
    Response.json(.object(["object": .string("list"), "data": .array([model])]))
  }
  router.get("/v1/models/:id") { _, context in
    let id = try context.parameters.require("id")
    guard id == core.backend.model else { throw core.unknownModel(id) }
    return Response.json(model)
  }
}

extension ServiceCore {
  /// What a request for another model gets.
  func unknownModel(_ name: String) -> APIError {
    APIError(
      .notFound, code: "model_not_found",
      message: "there is no model \"\(name.prefix(100))\" here; this server has "
        + "\"\(backend.model)\", and a request may leave the model out", parameter: "model")
  }
}
