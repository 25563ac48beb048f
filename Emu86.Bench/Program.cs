// Benchmarks. `guests`: the same Linux guest in emu86 and in other emulators, timed on the host. `failover`, `freeze`,
// `bandwidth`, `tables` and the other soak tools: what the pair promises, tried out (docs/soak.md). Anything else goes to
// BenchmarkDotNet: the micro-benchmarks of this assembly (`--filter '*'` runs all of them).
using BenchmarkDotNet.Running;
using Emu86.Bench.Guests;
using Emu86.Bench.Soak;

if (args is ["guests", .. var rest]) return GuestBenchmark.Run(rest);
if (args is [var tool, .. var options] && SoakTools.Find(tool) is { } soak) return SoakTools.Run(tool, soak, options);
BenchmarkSwitcher.FromAssembly(typeof(GuestBenchmark).Assembly).Run(args);
return 0;
