"""Writes docs/benchmarks/aarch64.md: how close the inner loops of the AArch64 kernels come to the
processor's peak of multiply-adds, by llvm-mca's models. Needs no such processor.

    python3 benches/aarch64/loops.py

Needs llvm-mca, c++filt and Rust's library for aarch64-unknown-linux-gnu. `.ci/aarch64` installs the
library on Debian; then RUSTC=/usr/bin/rustc.
"""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs/benchmarks/aarch64.md"
TARGET = "aarch64-unknown-linux-gnu"
PROCESSORS = ["cortex-a76", "neoverse-n1", "neoverse-v1", "apple-m1"]
RUNS = 200
# A loop with fewer multiply-adds is no inner loop of a kernel.
FEWEST = 6
# Kernels by a part of their function's name.
KERNELS = {
    "micro::tile::Call<f32>": "matrix product",
    "micro::tile::Call<half::bfloat::bf16>": "matrix product, bf16 weights",
    "micro::tile::Call<half::binary16::f16>": "matrix product, f16 weights",
    "micro::strassen::Call": "matrix product by Strassen's scheme",
    "micro::depthwise::Call": "depthwise",
    "training::program::Backward": "outer products of training",
    "layer::slices::depthwise::WeightGradient": "depthwise weight gradient",
}


def assembly():
    """The kernels' assembly."""
    folder = ROOT / "target/aarch64"
    subprocess.run(
        f"cargo rustc -p mobilenet-kernels --release --lib --locked --target {TARGET} "
        f"--target-dir {folder} -- --emit asm -C codegen-units=1 -C symbol-mangling-version=v0",
        shell=True,
        check=True,
        cwd=ROOT,
    )
    files = (folder / TARGET / "release/deps").glob("mobilenet_kernels-*.s")
    return max(files, key=lambda file: file.stat().st_mtime).read_text()


def loops(text):
    """Blocks that end with a jump to their own begin: (function, instructions)."""
    function, label, body, found = None, None, [], []

    def finish():
        for end, instruction in enumerate(body, 1):
            jump = re.match(r"(b\.\w+|cbn?z|tbn?z|b)\s", instruction)
            if label and jump and instruction.split()[-1] == label:
                if multiply_adds(body[:end]) >= FEWEST:
                    found.append((function, body[:end]))
                break

    for line in text.splitlines():
        name = re.match(r"([A-Za-z_$][\w$.]*):", line)
        local = re.match(r"(\.L\w+):", line)
        if name or local:
            finish()
            body, label = [], local and local.group(1)
            function = name.group(1) if name else function
        elif re.match(r"\t[a-z]", line):
            body.append(line.strip())
    finish()
    names = "\n".join(function for function, _ in found)
    names = subprocess.run(["c++filt"], input=names, capture_output=True, text=True, check=True)
    # Without the crates' hashes.
    names = re.sub(r"\[[0-9a-f]+\]", "", names.stdout).splitlines()
    return [(name, body) for name, (_, body) in zip(names, found, strict=True)]


def multiply_adds(body):
    return sum(instruction.startswith("fmla") for instruction in body)


def sums(body):
    """Number of different sums."""
    return len({line.split()[1] for line in body if line.startswith("fmla")})


def cycles(body, processor):
    """Cycles for one pass of a loop."""
    command = ["llvm-mca", f"-mtriple={TARGET}", f"-mcpu={processor}", f"-iterations={RUNS}"]
    text = "\n".join(body).replace(".LBB", "label")
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", result.stdout).group(1)) / RUNS


def main():
    independent = [f"fmla v{i}.4s, v30.4s, v31.4s" for i in range(28)]
    peak = {processor: 28 / cycles(independent, processor) for processor in PROCESSORS}
    version = subprocess.run(["llvm-mca", "--version"], capture_output=True, text=True).stdout
    version = re.search(r"LLVM version [\d.]+", version).group(0)
    largest = {}
    for name, body in loops(assembly()):
        for part, kernel in KERNELS.items():
            if name.endswith(f"::{part}>"):
                size = (sums(body), multiply_adds(body))
                if kernel not in largest or size > largest[kernel][0]:
                    largest[kernel] = (size, body)
    rows = []
    for kernel in KERNELS.values():
        (count, adds), body = largest[kernel]
        stack = sum("[sp" in instruction for instruction in body)
        shares = [adds / cycles(body, p) / peak[p] for p in PROCESSORS]
        shares = " | ".join(f"{min(share, 1):.0%}" for share in shares)
        rows.append(f"| {kernel} | {count} | {adds} | {len(body)} | {stack} | {shares} |")
    heads = " | ".join(PROCESSORS)
    REPORT.write_text(
        f"""# AArch64: inner loops on paper

Written by `python3 benches/aarch64/loops.py` ({version}). For each kernel, its inner loop with the
most sums in registers, compiled for NEON. The shares are those of the peak of multiply-adds that the
same model gives for independent ones, at most 100 %: the model of apple-m1 lets some loops exceed it.
cortex-a76, neoverse-n1 and neoverse-v1 have the same model in this version of LLVM. Caches are not
modelled. A loop that uses the stack has more sums and operands than registers.

| kernel | sums | multiply-adds | instructions | of these on the stack | {heads} |
|---|---|---|---|---|{"---|" * len(PROCESSORS)}
"""
        + "\n".join(rows)
        + "\n"
    )


if __name__ == "__main__":
    main()
