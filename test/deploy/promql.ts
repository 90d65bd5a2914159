import { parser } from "@prometheus-io/lezer-promql";
import type { Exported } from "./exported-metrics.ts";

/** What is wrong with a query, and the labels that its result may have. */
export type Reading = { faults: string[]; labels: Set<string> };

type Node = ReturnType<typeof parser.parse>["topNode"];

/** Reads PromQL as Prometheus does, and holds every metric, label and wanted value against what is exported. */
export function readQuery(query: string, exported: Exported): Reading {
  const faults: string[] = [];
  const tree = parser.parse(query);
  tree.iterate({
    enter(node) {
      if (node.type.isError) faults.push(`not PromQL from “${query.slice(node.from)}”`);
    },
  });
  const text = (node: Node) => query.slice(node.from, node.to);
  const expression = tree.topNode.firstChild;
  const labels = expression !== null && faults.length === 0 ? labelsOf(expression) : null;
  return { faults, labels: labels ?? new Set() };

  /** Null: a number, which has none. */
  function labelsOf(node: Node): Set<string> | null {
    switch (node.name) {
      case "VectorSelector":
        return ofSelector(node);
      case "AggregateExpr":
        return ofAggregate(node);
      case "BinaryExpr":
        return ofBinary(node);
      case "FunctionCall":
        return ofFunction(node);
      case "StringLiteral":
      case "NumberDurationLiteral":
        return null;
      case "ParenExpr":
      case "MatrixSelector":
      case "SubqueryExpr":
      case "OffsetExpr":
        return labelsOf(node.firstChild!);
      case "UnaryExpr":
        return labelsOf(node.lastChild!);
      default:
        faults.push(`${node.name} is not known to this test: ${text(node)}`);
        return null;
    }
  }

  function ofSelector(node: Node): Set<string> {
    const identifier = node.getChild("Identifier");
    const name = identifier === null ? "" : text(identifier);
    const known = exported.get(name);
    if (known === undefined) {
      faults.push(`no process exports ${name || text(node)}`);
      return new Set();
    }
    for (const { label, operator, value } of matchersOf(node)) {
      const values = known.get(label);
      if (values === undefined) faults.push(`${name} has no label ${label}`);
      else if (operator === "=" && values.size > 0 && !values.has(value))
        faults.push(`${name} was never seen with ${label}="${value}"`);
    }
    return new Set(known.keys());
  }

  function matchersOf(node: Node): { label: string; operator: string; value: string }[] {
    const matchers = node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? [];
    return matchers.map((matcher) => {
      const [label, operator, value] = childrenOf(matcher).map(text);
      return { label: label!, operator: operator!, value: value!.slice(1, -1) };
    });
  }

  function ofAggregate(node: Node): Set<string> | null {
    const modifier = node.getChild("AggregateModifier");
    const body = labelsOf(argumentsOf(node).at(-1)!) ?? new Set();
    const named = modifier === null ? [] : groupingOf(modifier.getChild("GroupingLabels"));
    if (modifier?.getChild("Without")) return new Set([...body].filter((label) => !named.includes(label)));
    wantLabels(named, body, node);
    return new Set(named);
  }

  function ofBinary(node: Node): Set<string> | null {
    const left = labelsOf(node.firstChild!);
    const right = labelsOf(node.lastChild!);
    if (left === null || right === null) return left ?? right;
    const matching = node.getChild("MatchingModifierClause");
    const [named = [], brought = []] = (matching?.getChildren("GroupingLabels") ?? []).map(groupingOf);
    wantLabels(named, left, node);
    wantLabels(named, right, node);
    if (node.getChild("Or")) return new Set([...left, ...right]);
    if (node.getChild("And") || node.getChild("Unless")) return left;
    if (matching?.getChild("GroupLeft")) {
      wantLabels(brought, right, node);
      return new Set([...left, ...brought]);
    }
    return matching?.getChild("On") ? new Set(named) : left;
  }

  function ofFunction(node: Node): Set<string> | null {
    const name = text(node.getChild("FunctionIdentifier")!);
    const given = argumentsOf(node);
    const vectors = given.map(labelsOf).filter((labels) => labels !== null);
    const [labels] = vectors;
    if (name === "absent" && given[0]?.name === "VectorSelector")
      return new Set(
        matchersOf(given[0])
          .filter(({ operator }) => operator === "=")
          .map(({ label }) => label),
      );
    if (labels === undefined) return name === "vector" ? new Set() : null;
    if (name === "histogram_quantile") {
      wantLabels(["le"], labels, node);
      return new Set([...labels].filter((label) => label !== "le"));
    }
    return name === "label_replace" ? new Set([...labels, text(given[1]!).slice(1, -1)]) : labels;
  }

  function argumentsOf(node: Node): Node[] {
    return childrenOf(node.getChild("FunctionCallBody")!);
  }

  function groupingOf(node: Node | null): string[] {
    return (node?.getChildren("LabelName") ?? []).map(text);
  }

  function wantLabels(wanted: string[], there: Set<string>, node: Node): void {
    for (const label of wanted) if (!there.has(label)) faults.push(`nothing has the label ${label} in ${text(node)}`);
  }
}

function childrenOf(node: Node): Node[] {
  const children: Node[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) children.push(child);
  return children;
}
