import Hummingbird
import HummingbirdTesting
import Testing

@testable import HTTPAPI

@Test func answers() async throws {
  let app = Application(router: router())
  try await app.test(.router) { client in
    try await client.execute(uri: "/healthz", method: .get) { #expect($0.status == .ok) }
  }
}
