{{/* The release's name, with kmm in it. */}}
{{- define "kmm.fullname" -}}
{{- if contains "kmm" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-kmm" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "kmm.selectorLabels" -}}
app.kubernetes.io/name: kmm
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end }}

{{- define "kmm.labels" -}}
{{ include "kmm.selectorLabels" . }}
app.kubernetes.io/part-of: kmm
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "kmm.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ printf "%s@%s" .repository .digest }}{{ else }}{{ printf "%s:%s" .repository .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "kmm.subject" -}}
- kind: ServiceAccount
  name: {{ include "kmm.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Whether images may be built by OpenShift: something, or nothing. */}}
{{- define "kmm.openshiftBuilds" -}}
{{- $engine := .Values.build.engine | default "auto" }}
{{- if or (eq $engine "openshift") (and (eq $engine "auto") (.Capabilities.APIVersions.Has "build.openshift.io/v1")) }}yes{{ end }}
{{- end }}

{{/* Objects of a component of kustomize's that are not namespaced, with the release's names in them. */}}
{{- define "kmm.component" -}}
{{- $root := index . 0 }}
{{- $name := include "kmm.fullname" $root }}
{{- $objects := $root.Files.Get (printf "files/%s.yaml" (index . 1)) }}
{{- $objects = $objects | replace "system:serviceaccount:kmm-system:kmm'" (printf "system:serviceaccount:%s:%s'" $root.Release.Namespace $name) }}
{{- $objects = regexReplaceAll "(?m)^(  (?:  )?(?:name|policyName)): kmm(-|$)" $objects (printf "${1}: %s${2}" $name) }}
{{- $objects | replace "namespace: kmm-system" (printf "namespace: %s" $root.Release.Namespace) }}
{{- end }}
