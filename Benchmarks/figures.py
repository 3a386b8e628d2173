"""Rounds of measurements and the table of their medians."""
import statistics
import sys


def values(chosen, rounds, measure):
    """For each row, the pairs of our figure and the baseline's figure in each round, without incomplete rounds."""
    results = {row[0]: [] for row in chosen}
    for number in range(rounds):
        made = {}
        for name, _, _, ours, baseline, _ in chosen:
            both = [pair for pair in (ours, baseline) if pair]
            for measurement, _ in both if number % 2 == 0 else reversed(both):
                if measurement not in made:
                    print(f"round {number + 1} of {rounds}: {' '.join(map(str, measurement))}", file=sys.stderr)
                    made[measurement] = measure(measurement)
            results[name].append([made[pair[0]].get(pair[1]) if pair else None for pair in (ours, baseline)])
    return results


def summary(row, pairs):
    name, title, unit, _, _, baseline_name = row
    mine = [ours for ours, _ in pairs if ours is not None]
    others = [other for _, other in pairs if other is not None]
    ratios = [ours / other for ours, other in pairs if ours is not None and other]
    spread = ratios or mine
    return {
        "name": name,
        "unit": unit,
        "ours": statistics.median(mine) if mine else None,
        "baseline": statistics.median(others) if others else None,
        "baselineName": baseline_name,
        "ratio": statistics.median(ratios) if ratios else None,
        "low": min(spread) if spread else None,
        "high": max(spread) if spread else None,
    }


def shown(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def table(chosen, summaries):
    print("| name | measured | unit | ours | baseline | ratio | spread |\n|---|---|---|---|---|---|---|")
    for row, line in zip(chosen, summaries):
        baseline = f"{shown(line['baseline'])} ({line['baselineName']})" if line["baselineName"] else "–"
        print(f"| {row[0]} | {row[1]} | {line['unit']} | {shown(line['ours'])} | {baseline} | {shown(line['ratio'])} "
              f"| {shown(line['low'])}–{shown(line['high'])} |")
