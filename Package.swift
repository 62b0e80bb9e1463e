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
    .target(name: "Checkpoints", dependencies: ["Tensors"], swiftSettings: swift),
    .target(
      name: "PaliGemma", dependencies: ["CKernels", "Checkpoints", "Tensors"], swiftSettings: swift),
    .testTarget(name: "KernelsTests", dependencies: ["CKernels"], swiftSettings: swift),
    .testTarget(
      name: "PaliGemmaTests", dependencies: ["CKernels", "Checkpoints", "PaliGemma", "Tensors"],
      exclude: ["Fixtures"], swiftSettings: swift),
  ],
  cLanguageStandard: .gnu17
)
