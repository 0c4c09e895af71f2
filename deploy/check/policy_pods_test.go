package check_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// The rules of policy_test.go that look into pods.

func graceIsLongEnough(r *release) (out []string) {
	for _, d := range r.deployments {
		grace := time.Duration(*d.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
		needed := 10 * time.Second
		switch c := container(&d.Spec.Template); component(d.ObjectMeta) {
		case "worker":
			drain, err := time.ParseDuration(variable(c, "DRAIN_TIMEOUT"))
			if err != nil {
				out = append(out, fmt.Sprintf("%s: DRAIN_TIMEOUT: %v", d.Name, err))
			}
			needed = drain + max(r.program.handBack, r.program.margin)
		case "api":
			needed = r.program.apiDrain
			if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil || c.Lifecycle.PreStop.Sleep.Seconds < 3 {
				out = append(out, d.Name+": it closes its port while requests still come")
			} else {
				needed += time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
			}
		}
		if grace <= needed {
			out = append(out, fmt.Sprintf("%s: is killed after %v and may need %v", d.Name, grace, needed))
		}
	}
	return out
}

func probesAreThere(r *release) (out []string) {
	for _, d := range r.deployments {
		c := container(&d.Spec.Template)
		ports := map[string]int32{}
		for _, p := range c.Ports {
			ports[p.Name] = p.ContainerPort
		}
		for path, probes := range map[string][]*corev1.Probe{"/health/live": {c.StartupProbe, c.LivenessProbe}, "/health/ready": {c.ReadinessProbe}} {
			for _, p := range probes {
				if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != path {
					out = append(out, d.Name+": no probe of "+path)
					continue
				}
				listens := variable(c, "PORT")
				if component(d.ObjectMeta) != "api" {
					listens = strings.TrimPrefix(variable(c, "OPS_ADDR"), ":")
				}
				if strconv.Itoa(int(ports[p.HTTPGet.Port.StrVal])) != listens {
					out = append(out, fmt.Sprintf("%s: asks %s at port %q, and the role listens at %q", d.Name, path, p.HTTPGet.Port.StrVal, listens))
				}
			}
		}
	}
	return out
}

func imagesAreFixed(r *release) (out []string) {
	for name, pod := range r.pods() {
		_, tag, _ := strings.Cut(container(pod).Image[strings.LastIndex(container(pod).Image, "/")+1:], ":")
		if tag == "" || tag == "latest" {
			out = append(out, name+": image "+container(pod).Image)
		}
	}
	return out
}

func podsAreRestricted(r *release) (out []string) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	level := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for name, pod := range r.pods() {
		if result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
			out = append(out, name+": "+result.ForbiddenDetail())
		}
		if c := container(pod).SecurityContext; c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
			out = append(out, name+": may write to its image")
		}
		if auto := pod.Spec.AutomountServiceAccountToken; auto == nil || *auto {
			out = append(out, name+": holds a token for the cluster")
		}
		if s := pod.Spec.SecurityContext; s == nil || s.RunAsUser == nil || strconv.FormatInt(*s.RunAsUser, 10) != r.program.imageUser {
			out = append(out, name+": does not run as the image's user "+r.program.imageUser)
		}
	}
	return out
}

// paths are the variables that are paths themselves; of the other secrets NAME_FILE is one.
var paths = map[string]bool{"NATS_CREDS": true, "NATS_CA": true}

func secretsAreFiles(r *release) (out []string) {
	for name, pod := range r.pods() {
		files := map[string]bool{}
		for _, v := range pod.Spec.Volumes {
			for _, item := range v.Secret.Items {
				files["/secrets/"+item.Path] = true
			}
			if v.Secret.DefaultMode == nil || *v.Secret.DefaultMode&0o007 != 0 {
				out = append(out, name+": everybody may read its secrets")
			}
		}
		for _, v := range container(pod).Env {
			plain, isFile := strings.CutSuffix(v.Name, "_FILE")
			switch {
			case v.ValueFrom != nil:
				out = append(out, name+": "+v.Name+" is a secret in the environment")
			case (isFile || paths[plain]) && !files[v.Value]:
				out = append(out, fmt.Sprintf("%s: %s is %s, which is not mounted", name, v.Name, v.Value))
			case isFile || paths[plain]:
				delete(files, v.Value)
			case secretName(plain):
				out = append(out, name+": "+v.Name+" is in plain sight")
			}
		}
		for _, file := range slices.Sorted(maps.Keys(files)) {
			out = append(out, name+": "+file+" is mounted and not used")
		}
		if len(container(pod).EnvFrom) > 1 || len(container(pod).EnvFrom) == 1 && container(pod).EnvFrom[0].SecretRef != nil {
			out = append(out, name+": its environment comes from a Secret")
		}
	}
	for _, c := range r.configs {
		for name := range c.Data {
			if secretName(name) {
				out = append(out, c.Name+": "+name+" is in plain sight")
			}
		}
	}
	return out
}

func secretName(name string) bool {
	return name == "DATABASE_URL" || name == "NATS_URL" || name == "REDIS_URL" || strings.Contains(name, "SECRET") || strings.HasSuffix(name, "API_KEY")
}

func environmentIsKnown(r *release) (out []string) {
	for name, pod := range r.pods() {
		for _, v := range container(pod).Env {
			if plain := strings.TrimSuffix(v.Name, "_FILE"); !r.program.variables[plain] {
				out = append(out, name+": the program does not read "+v.Name)
			}
		}
		if args := container(pod).Args; len(args) != 1 || !r.program.commands[args[0]] {
			out = append(out, fmt.Sprintf("%s: the program has no command %v", name, args))
		}
	}
	for _, c := range r.configs {
		for name := range c.Data {
			if !r.program.variables[name] {
				out = append(out, c.Name+": the program does not read "+name)
			}
		}
	}
	return out
}

func databaseIsForThoseWhoUseIt(r *release) (out []string) {
	for name, pod := range r.pods() {
		role := container(pod).Args[0]
		if given := variable(container(pod), "DATABASE_URL_FILE") != ""; given != r.program.database[role] {
			out = append(out, fmt.Sprintf("%s: is given the database: %v, opens it: %v", name, given, r.program.database[role]))
		}
	}
	return out
}

func resourcesAreBounded(r *release) (out []string) {
	for name, pod := range r.pods() {
		resources := container(pod).Resources
		if resources.Limits.Memory().IsZero() || resources.Requests.Memory().IsZero() || resources.Requests.Cpu().IsZero() {
			out = append(out, name+": no bounds")
		}
		if !resources.Limits.Cpu().IsZero() {
			out = append(out, name+": is throttled, and its heartbeats with it")
		}
	}
	return out
}
