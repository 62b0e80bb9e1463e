// swift-tools-version: 6.2
import PackageDescription

let swift: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]
// C in debug builds is at -O0 otherwise: 4 to 13 times slower, and the tests crawl.
let fastC: [CSetting] = [.unsafeFlags(["-O3", "-ffp-contract=off", "-Wno-psabi"])]

let package = Package(
  name: "palisade",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .target(
      name: "CKernels",
      cSettings: fastC,
      linkerSettings: [
        // Static, so that a constructor of ours runs before OpenBLAS looks at the CPU (openblas_core.c).
        .linkedLibrary(":libopenblas.a"), .linkedLibrary(":libgfortran.so.5"), .linkedLibrary("m"),
      ]),
    .target(name: "Tensors", dependencies: ["CKernels"], swiftSettings: swift),
    .systemLibrary(name: "CLibraries"),
    .target(name: "Checkpoints", dependencies: ["CLibraries", "Tensors"], swiftSettings: swift),
    .target(
      name: "PaliGemma",
      dependencies: [
        "CKernels", "Checkpoints", "Tensors",
        .product(name: "DequeModule", package: "swift-collections"),
      ], swiftSettings: swift),
    .target(
      name: "CImageCodecs", cSettings: fastC,
      linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png"), .linkedLibrary("webp")]),
    .target(name: "Imaging", dependencies: ["CImageCodecs"], swiftSettings: swift),
    .target(
      name: "CSentencePiece", cxxSettings: [.unsafeFlags(["-O3"])],
      linkerSettings: [.linkedLibrary("sentencepiece")]),
    .target(name: "Tokenization", dependencies: ["CSentencePiece"], swiftSettings: swift),
    .target(
      name: "CWire", cSettings: [.unsafeFlags(["-O3"])],
      linkerSettings: [.linkedLibrary("protobuf-c")]),
    .target(
      name: "Messaging", dependencies: ["CLibraries", "CWire", "Tensors"], swiftSettings: swift),
    .target(
      name: "Pipelining",
      dependencies: [
        "Checkpoints", "Messaging", "PaliGemma", "Tensors",
        .product(name: "HeapModule", package: "swift-collections"),
      ],
      swiftSettings: swift),
    .target(name: "VideoFrames", dependencies: ["CLibraries", "Imaging"], swiftSettings: swift),
    .target(
      name: "Jobs",
      dependencies: [
        "Imaging", "Messaging", "PaliGemma", "Pipelining", "Tensors", "Tokenization",
        "VideoFrames",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: swift),
    .target(
      name: "HTTPAPI",
      dependencies: [
        "Imaging", "Jobs", "Messaging", "PaliGemma", "Pipelining", "Tensors", "Tokenization",
        "VideoFrames",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      // In the binary itself, so that it can be moved to another machine alone.
      resources: [.embedInCode("Dashboard")],
      swiftSettings: swift),
    .executableTarget(
      name: "palisade",
      dependencies: [
        "CKernels", "CLibraries", "Checkpoints", "HTTPAPI", "Imaging", "Jobs", "Messaging",
        "PaliGemma",
        "Pipelining", "Tensors", "Tokenization", "VideoFrames",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "Yams", package: "Yams"),
      ], swiftSettings: swift),
    // What several test targets read: the goldens of Hugging Face, and how.
    .target(
      name: "GoldenFixtures", dependencies: ["Checkpoints", "PaliGemma", "Tensors"],
      path: "Tests/GoldenFixtures", swiftSettings: swift),
    // Readers of bytes from outside, for FuzzingTests and for libFuzzer (scripts/fuzz).
    .target(
      name: "Fuzzing",
      dependencies: [
        "Checkpoints", "Imaging", "Jobs", "Messaging", "PaliGemma", "Tensors", "Tokenization",
      ], path: "Tests/Fuzzing", swiftSettings: swift),
    .testTarget(
      name: "FuzzingTests", dependencies: ["Fuzzing"], exclude: ["Seeds"], swiftSettings: swift),
    .testTarget(name: "TidyTests", swiftSettings: swift),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors"], swiftSettings: swift),
    .testTarget(
      name: "CheckpointsTests", dependencies: ["Checkpoints", "Tensors"], exclude: ["Fixtures"],
      swiftSettings: swift),
    .testTarget(name: "KernelsTests", dependencies: ["CKernels"], swiftSettings: swift),
    .testTarget(
      name: "PaliGemmaTests",
      dependencies: ["CKernels", "Checkpoints", "GoldenFixtures", "PaliGemma", "Tensors"],
      exclude: ["Fixtures"], swiftSettings: swift),
    .testTarget(
      name: "ImagingTests", dependencies: ["CImageCodecs", "Imaging"], exclude: ["Fixtures"],
      swiftSettings: swift),
    .testTarget(
      name: "VideoFramesTests", dependencies: ["Imaging", "VideoFrames"], swiftSettings: swift),
    .testTarget(
      name: "TokenizationTests", dependencies: ["Tokenization"], exclude: ["Fixtures"],
      swiftSettings: swift),
    .testTarget(
      name: "MessagingTests", dependencies: ["CWire", "Messaging", "Tensors"],
      swiftSettings: swift),
    .testTarget(
      name: "JobsTests",
      dependencies: [
        "Checkpoints", "Fuzzing", "GoldenFixtures", "Imaging", "Jobs", "Messaging", "PaliGemma",
        "Pipelining", "Tensors", "Tokenization", "VideoFrames",
        .product(name: "GRDB", package: "GRDB.swift"),
      ], exclude: ["Fixtures"], swiftSettings: swift),
    .testTarget(
      name: "HTTPAPITests",
      dependencies: [
        "Fuzzing", "HTTPAPI", "Imaging", "Jobs", "Messaging", "PaliGemma", "Pipelining", "Tensors",
        "Tokenization",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTesting", package: "hummingbird"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "NIOCore", package: "swift-nio"),
      ], swiftSettings: swift),
    .testTarget(
      name: "PalisadeTests",
      dependencies: [
        "Checkpoints", "Fuzzing", "Imaging", "Messaging", "PaliGemma", "Tensors", "Tokenization",
        "palisade",
        .product(name: "GRDB", package: "GRDB.swift"),
      ],
      exclude: ["count_allocations.c", "deadly_colour.c"],
      swiftSettings: swift),
    .testTarget(
      name: "PipeliningTests",
      dependencies: [
        "CKernels", "Checkpoints", "GoldenFixtures", "Messaging", "PaliGemma", "Pipelining",
        "Tensors",
      ], swiftSettings: swift),
  ],
  cLanguageStandard: .gnu17,
  cxxLanguageStandard: .cxx17
)

// Only scripts/fuzz builds it: it needs libFuzzer, whose place only that script knows.
if Context.environment["PALISADE_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(
      name: "FuzzDriver", dependencies: ["Fuzzing"], path: "Tests/FuzzDriver",
      swiftSettings: swift + [.unsafeFlags(["-parse-as-library"])]))
}
