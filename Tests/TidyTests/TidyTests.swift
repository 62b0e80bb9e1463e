import Foundation
import Testing

/// Style rules that a machine can check, in the manner of TigerBeetle's `tidy.zig`.
@Suite struct TidyTests {
  /// What each target may import, bottom layer first. SwiftPM refuses upward imports by itself, but
  /// lets a target import anything its dependencies happen to build; this table closes that gap.
  static let mayImport: KeyValuePairs<String, Set<String>> = [
    "CKernels": [], "CImageCodecs": [], "CWire": [], "CLibraries": [], "CSentencePiece": [],
    "Tensors": ["CKernels"],
    "Checkpoints": ["CSodium", "CZip", "Tensors"],
    "Imaging": ["CImageCodecs", "Tensors"],
    "Tokenization": ["CSentencePiece"],
    "PaliGemma": ["CKernels", "Checkpoints", "Tensors", "DequeModule"],
    "Messaging": ["CWire", "CZeroMQ", "Tensors"],
    "Pipelining": ["Checkpoints", "Messaging", "PaliGemma", "Tensors", "HeapModule"],
    "VideoFrames": ["CProcess", "Imaging"],
    "Jobs": [
      "Imaging", "Messaging", "PaliGemma", "Pipelining", "Tensors", "Tokenization", "VideoFrames",
      "AsyncHTTPClient", "GRDB", "NIOCore", "NIOHTTP1", "NIOPosix",
    ],
    "HTTPAPI": [
      "Imaging", "Jobs", "Messaging", "PaliGemma", "Pipelining", "Tensors", "Tokenization",
      "VideoFrames", "HTTPTypes", "Hummingbird", "HummingbirdCore", "HummingbirdTLS", "Logging",
      "NIOCore", "NIOHTTPTypes", "NIOPosix", "NIOSSL", "ServiceLifecycle",
    ],
    "palisade": [
      "Tensors", "Checkpoints", "Imaging", "Tokenization", "PaliGemma", "Messaging", "Pipelining",
      "VideoFrames", "Jobs", "HTTPAPI", "ArgumentParser", "AsyncHTTPClient", "CProcess", "Logging",
      "NIOCore", "NIOHTTP1", "Yams",
    ],
  ]
  /// Packages of others, and the modules of `CLibraries`; only targets that name them above may import them.
  static let foreign: Set = [
    "CProcess", "CSodium", "CZeroMQ", "CZip",
    "ArgumentParser", "AsyncHTTPClient", "DequeModule", "GRDB", "HTTPTypes", "HeapModule",
    "Hummingbird",
    "HummingbirdCore", "HummingbirdTLS", "Logging", "NIOCore", "NIOHTTP1", "NIOHTTPTypes",
    "NIOPosix", "NIOSSL", "ServiceLifecycle", "Yams",
  ]
  /// Targets whose tests stand elsewhere, with the reason.
  static let testedElsewhere = [
    "CKernels": "KernelsTests",  // every table against the scalar one
    "CImageCodecs": "ImagingTests",  // only Imaging calls it
    "CWire": "MessagingTests",  // generated; the codecs are its users
    "CLibraries": "MessagingTests",  // module maps
    "CSentencePiece": "TokenizationTests",  // only Tokenization calls it
    "palisade": "PalisadeTests",  // folders of tests begin with a capital
  ]
  /// The only files that may promise thread safety by hand; each says why next to the promise.
  static let uncheckedSendable: Set = [
    "Tensors/TensorStorage.swift", "Tokenization/SentencePieceModel.swift",
    "Messaging/Context.swift",
  ]
  static let linesMaximum = 500
  static let scriptLinesMaximum = 60
  /// A screen.
  static let functionLinesMaximum = 60
  static let bannedEverywhere = ["fatal" + "Error(", "TO" + "DO", "FIX" + "ME"]
  static let bannedInSwift = ["try!", "as!", "NSLock", "DispatchSemaphore", "DispatchQueue"]

  @Test(arguments: Repository.files(under: "Sources", endings: [".swift"]))
  func imports(_ path: String) throws {
    let target = String(path.prefix { $0 != "/" })
    let allowed = try #require(
      Self.mayImport.first { $0.key == target }?.value, "unknown target \(target)")
    let guarded = Self.foreign.union(Self.mayImport.map(\.key))
    for (number, line) in try Repository.lines("Sources/" + path).enumerated() {
      guard let module = Self.importedModule(line), guarded.contains(module) else { continue }
      #expect(allowed.contains(module), "\(path):\(number + 1) imports \(module)")
    }
  }

  /// The module of a line such as `@testable import struct Tensors.Tensor`.
  static func importedModule(_ line: String) -> String? {
    let kinds: Set = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
    let words = line.split(separator: " ").map(String.init)
    guard let at = words.firstIndex(of: "import"), at <= 2,
      words[..<at].allSatisfy({ $0.hasPrefix("@") || $0 == "public" || $0 == "internal" })
    else { return nil }
    let name = words[(at + 1)...].first { !kinds.contains($0) }
    return name.map { String($0.prefix { $0 != "." }) }
  }

  @Test(arguments: Repository.files(under: "Sources", endings: [".swift"]))
  func bannedWords(_ path: String) throws {
    let isLibrary = !path.hasPrefix("palisade/")
    for (number, line) in try Repository.lines("Sources/" + path).enumerated() {
      for word in Self.bannedInSwift {
        #expect(!line.contains(word), "\(path):\(number + 1) uses \(word)")
      }
      // A library tells its caller; it does not print.
      let prints = line.range(of: #"(^|[^A-Za-z.])print\("#, options: .regularExpression) != nil
      #expect(!(isLibrary && prints), "\(path):\(number + 1) prints")
      if line.contains("@unchecked Sendable") {
        #expect(Self.uncheckedSendable.contains(path), "\(path):\(number + 1)")
      }
    }
  }

  @Test(arguments: uncheckedSendable.sorted())
  func promisesAreKeptWithTheirReason(_ path: String) throws {
    let lines = try Repository.lines("Sources/" + path)
    #expect(lines.contains { $0.contains("///") && $0.contains("`@unchecked Sendable`: ") })
    #expect(lines.contains { !$0.contains("//") && $0.contains("@unchecked Sendable") })
  }

  @Test(arguments: Repository.ownFiles) func fileSize(_ path: String) throws {
    let lines = try Repository.lines(path)
    #expect(lines.count <= Self.linesMaximum, "\(path) has \(lines.count) lines")
    for (number, line) in lines.enumerated() {
      for word in Self.bannedEverywhere {
        #expect(!line.contains(word), "\(path):\(number + 1) has \(word)")
      }
    }
  }

  @Test(arguments: Repository.files(under: "Sources", endings: [".swift", ".c", ".cpp"]))
  func functionSize(_ path: String) throws {
    guard !path.hasSuffix(".pb-c.c") else { return }
    let lines = try Repository.lines("Sources/" + path)
    let functions = path.hasSuffix(".swift") ? FunctionSizes.swift(lines) : FunctionSizes.c(lines)
    for (line, size) in functions {
      #expect(size <= Self.functionLinesMaximum, "\(path):\(line) is \(size) lines long")
    }
  }

  @Test(arguments: Repository.files(under: "Sources", endings: [".swift", ".c", ".cpp", ".h"]))
  func onlyKernelsCallBLAS(_ path: String) throws {
    guard !path.hasPrefix("CKernels/") else { return }
    for (number, line) in try Repository.lines("Sources/" + path).enumerated() {
      let calls = line.range(of: #"cblas_|openblas_\w+\("#, options: .regularExpression) != nil
      #expect(!calls, "\(path):\(number + 1) calls OpenBLAS past CKernels")
    }
  }

  @Test(arguments: Repository.folders(under: "Sources"))
  func everyTargetHasTests(_ target: String) {
    let tests = Self.testedElsewhere[target] ?? target + "Tests"
    #expect(Repository.folders(under: "Tests").contains(tests), "\(target) has no Tests/\(tests)")
  }

  @Test(arguments: Repository.shellScripts) func scriptsAreThin(_ path: String) throws {
    let lines = try Repository.lines(path)
    #expect(lines.count <= Self.scriptLinesMaximum, "\(path) has \(lines.count) lines")
    #expect(lines.contains("set -euo pipefail"), "\(path)")
  }
}
